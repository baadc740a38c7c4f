"""GET /changes and /changes/discards: what is stored, as it is stored, as server-sent events."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Security
from starlette.responses import Response

from datacosmos.api.bearer import BEARER
from datacosmos.api.feed.events import RETRY, error_event, event_of
from datacosmos.api.feed.feed import Feed
from datacosmos.api.feed.frames import Frame
from datacosmos.api.feed.rights import expiry_of
from datacosmos.api.feed.streaming import Streaming
from datacosmos.api.media import EVENT_STREAM, choose
from datacosmos.api.rest.discards import REASON, SOURCE, parse_reason
from datacosmos.api.times import RULE, Given, read_each
from datacosmos.auth.permissions import AccessControl, Permissions
from datacosmos.domain.changes import Accepted, Discarded, Topic
from datacosmos.domain.instants import parse_time
from datacosmos.errors import DatacosmosError, Unavailable
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.parameters import StrictRoute
from datacosmos.http.problems import described
from datacosmos.sources.data_server import SERIES

START = Query(
    min_length=1,
    description=f"What is stored from this time on comes first; {RULE} (a + is written %2B). It filters nothing of "
    "what comes live.",
    examples=["2024-03-28T16:55:34Z"],
)
AFTER = Query(min_length=1, description="The cursor behind which to go on; it wins over `start`.")
LAST = Header(
    alias="Last-Event-ID",
    description="The same, which wins over both. Browsers send it when they come back, and would give up at a 503: so "
    "what refuses them for the moment is told as an error within a stream.",
)
EXAMPLE = (
    'id: 3q2-…\ndata: {"cursor":"3q2-…","events":[{"kind":"ACCEPTED","point":{"id":"…","series":"datacosmos",'
    '"time":"2024-03-28T16:55:34Z","value":-0.9523,"tags":[],"receivedAt":"…"},"discard":null}]}\n\n'
)
ENDLESS = "It goes on until its client leaves. A page such as this one shows an answer at its end: use `curl -N`."
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, in the order of their commits. `id` is the cursor, `data` one `Changes` of "
        "GraphQL's; one without events comes at the beginning and every 15 s. An error ends it: `event: error`, "
        "whose data is a message with a code and the last cursor.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}, "example": EXAMPLE}},
    },
    **described(400, 401, 403, 406, 410, 503),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Where to begin, as it is asked for; the last of these wins."""

    start: str | None
    after: str | None
    last_id: str | None


def changes_routes(feed: Feed, access: AccessControl) -> APIRouter:
    router = APIRouter(
        route_class=StrictRoute, tags=["changes"], dependencies=[Security(BEARER)], default_response_class=Response
    )

    @router.get(
        "/changes", summary="The points of a series, as they are stored", description=ENDLESS, responses=ANSWERS
    )
    async def _accepted(
        request: Request,
        series: Annotated[str, Query(min_length=1, description="Which series.")] = SERIES,
        start: Annotated[Given, START] = None,
        after: Annotated[Given, AFTER] = None,
        last_event_id: Annotated[Given, LAST] = None,
    ) -> Response:
        permissions = access.admit(request.headers)
        permissions.require_series(series)
        return await _answer(feed, request, Accepted(series), Asked(start, after, last_event_id), permissions)

    @router.get(
        "/changes/discards",
        summary="Discards, as they are stored, for administrators",
        description=ENDLESS,
        responses=ANSWERS,
    )
    async def _discarded(
        request: Request,
        reason: Annotated[Given, REASON] = None,
        source: Annotated[Given, SOURCE] = None,
        start: Annotated[Given, START] = None,
        after: Annotated[Given, AFTER] = None,
        last_event_id: Annotated[Given, LAST] = None,
    ) -> Response:
        [wanted] = read_each(parse_reason, {"reason": reason})
        permissions = access.admit(request.headers)
        permissions.require_admin()
        return await _answer(feed, request, Discarded(wanted, source), Asked(start, after, last_event_id), permissions)

    return router


async def _answer(feed: Feed, request: Request, topic: Topic, asked: Asked, permissions: Permissions) -> Response:
    """What is wrong from the beginning is told by a status."""
    [begin] = read_each(parse_time, {"start": asked.start})
    choose(request.headers, (EVENT_STREAM,))
    place = feed.place(topic, begin, asked.last_id or asked.after)
    frames = feed.follow(topic, place, expires=expiry_of(permissions, topic))
    try:
        with until_client_leaves(request.scope, request.receive):
            first = await anext(frames)
    except StopAsyncIteration:
        raise Unavailable("the service is about to stop; ask again once it has been started anew") from None
    except Unavailable as error:
        if not asked.last_id:
            raise
        return Streaming(request, _refusal(error, asked.last_id), frames)
    return Streaming(request, _events(first, frames), frames)


async def _refusal(error: Unavailable, cursor: str) -> AsyncGenerator[bytes]:
    """For a browser that comes back by itself, which would not try again after any status but 200."""
    yield RETRY + error_event(error, cursor)


async def _events(first: Frame, frames: AsyncGenerator[Frame]) -> AsyncGenerator[bytes]:
    cursor = first.cursor
    try:
        yield RETRY + event_of(first)
        async for frame in frames:
            cursor = frame.cursor
            yield event_of(frame)
    except DatacosmosError as error:
        yield error_event(error, cursor)
