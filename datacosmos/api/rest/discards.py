"""GET /discards: all discards of a range in one request, for administrators, streamed as lines of JSON or as CSV."""

import csv
from io import StringIO
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Security
from starlette.responses import StreamingResponse

from datacosmos.api.bearer import BEARER
from datacosmos.api.lists.discarded import discard_row
from datacosmos.api.lists.exports import Export, Exports
from datacosmos.api.lists.formats import Format
from datacosmos.api.media import CSV, NDJSON, VARY, choose
from datacosmos.api.rest.points import TIME
from datacosmos.api.times import Given, make_window, read_each
from datacosmos.auth.permissions import AccessControl
from datacosmos.domain.instants import parse_time
from datacosmos.domain.points import Point, Reason
from datacosmos.http.parameters import StrictRoute
from datacosmos.http.problems import described
from datacosmos.store.points.points import Points

HEAD = b"id,source,series,time,value,tags,reason,reasons,receivedAt,faults,duplicateOf,rawBase64\r\n"


def _json_lines(points: list[Point]) -> bytes:
    return b"".join(orjson.dumps(discard_row(point), option=orjson.OPT_APPEND_NEWLINE) for point in points)


def _csv_lines(points: list[Point]) -> bytes:
    lines = StringIO()
    csv.writer(lines).writerows(map(_cell, discard_row(point).values()) for point in points)
    return lines.getvalue().encode()


def _cell(value: object) -> object:
    """A list as JSON; csv leaves null empty."""
    return orjson.dumps(value).decode() if isinstance(value, list | tuple) else value


FORMATS = {NDJSON: Format(_json_lines), CSV: Format(_csv_lines, HEAD)}
NONE: list[Point] = []
REASON = Query(description="One of its reasons; none: any.", json_schema_extra={"enum": [*Reason.__members__]})
SOURCE = Query(min_length=1, description="Which source; none: all.")
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Every discard, by receivedAt; what could not be parsed is null, or empty. Where it fails it is "
        "broken off.",
        "content": {media_type: {"schema": {"type": "string"}} for media_type in FORMATS},
    },
    **described(400, 401, 403, 406, 503),
}


def discards_routes(points: Points, access: AccessControl, exports: Exports) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, tags=["discards"])

    @router.get(
        "/discards",
        summary="All discards of a range, for administrators",
        response_class=StreamingResponse,
        responses=ANSWERS,
        dependencies=[Security(BEARER)],
    )
    async def _export(
        request: Request,
        reason: Annotated[Given, REASON] = None,
        source: Annotated[Given, SOURCE] = None,
        start: Annotated[Given, TIME] = None,
        end: Annotated[Given, TIME] = None,
    ) -> StreamingResponse:
        """The range is of when they were received."""
        [wanted] = read_each(parse_reason, {"reason": reason})
        window = make_window(*read_each(parse_time, {"start": start, "end": end}))
        access.admit(request.headers).require_admin()
        media_type = choose(request.headers, tuple(FORMATS))
        pages = points.discards(wanted, window, limit=0, source=source, freely=True)
        async with exports.begin(request) as done:
            first = await anext(pages, NONE)  # a store that is unavailable is still a 503 here
            body = FORMATS[media_type].write(first, pages)
            return Export(body, done, exports.pace, media_type=media_type, headers=VARY)

    return router


def parse_reason(name: str) -> Reason:
    """Raises ValueError."""
    if name not in Reason.__members__:
        raise ValueError(f"{name[:40]!r} is no reason; there are {', '.join(Reason.__members__)}")
    return Reason[name]
