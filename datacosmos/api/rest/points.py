"""GET /points: all points of a range in one request, as one JSON array, streamed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Security
from starlette.responses import StreamingResponse

from datacosmos.api.access import BEARER, Gate
from datacosmos.api.texts import fill_rows, time_texts, value_texts
from datacosmos.api.times import make_window
from datacosmos.domain.columns import Columns
from datacosmos.domain.instants import parse_time
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.problems import InvalidParameters, described
from datacosmos.sources.data_server import SERIES
from datacosmos.store.points import Points

PART = 5000
"""Points that are encoded at once."""
ROW = b'{"time":%b,"value":%b}'
TIME = Query(
    description="ISO 8601 with an offset or Z (a + is written %2B), inclusive; none: open.",
    examples=["2024-03-28T16:55:34Z"],
)
ARRAY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["time", "value"],
        "properties": {"time": {"type": "string", "format": "date-time"}, "value": {"type": "number"}},
    },
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Every accepted point, by time. An array that is not closed was broken off by a failure.",
        "content": {
            "application/json": {"schema": ARRAY, "example": [{"time": "2024-03-28T16:55:34Z", "value": -0.9523}]}
        },
    },
    **described(400, 401, 503),
}


def points_routes(points: Points, gate: Gate) -> APIRouter:
    router = APIRouter(tags=["points"])

    @router.get(
        "/points",
        summary="All accepted points of a series in a range",
        response_class=StreamingResponse,
        responses=ANSWERS,
        dependencies=[Security(BEARER)],
    )
    async def _export(
        request: Request,
        series: Annotated[str, Query(description="Which series.")] = SERIES,
        start: Annotated[str, TIME] = "",
        end: Annotated[str, TIME] = "",
    ) -> StreamingResponse:
        times = _read_times(start=start, end=end)
        window = make_window(times["start"], times["end"])
        name = series or SERIES
        gate.admit(request.headers).require_series(name)
        batches = points.columns(name, window)
        async with until_client_leaves(request):
            first = await anext(batches)  # a store that is away is still a 503 here
        return StreamingResponse(_encoded(first, batches), media_type="application/json")

    return router


def _read_times(**texts: str) -> dict[str, datetime | None]:
    """An empty text is a time not given. Raises InvalidParameters with every fault."""
    times: dict[str, datetime | None] = {}
    faults: dict[str, str] = {}
    for name, text in texts.items():
        try:
            times[name] = parse_time(text) if text else None
        except ValueError as error:
            faults[name] = str(error)
    if faults:
        raise InvalidParameters(faults)
    return times


async def _encoded(first: Columns, batches: AsyncGenerator[Columns]) -> AsyncGenerator[bytes]:
    """The array is closed only after the last batch: a failure before that leaves it open."""
    yield b"["
    comma = b""
    async with aclosing(_parts(first, batches)) as parts:
        async for part in parts:
            yield comma + fill_rows(ROW, [time_texts(part.time), value_texts(part.value)], len(part))
            comma = b","
    yield b"]"


async def _parts(first: Columns, batches: AsyncGenerator[Columns]) -> AsyncGenerator[Columns]:
    """Parts that take a few milliseconds to encode, with a turn for others after each."""
    async with aclosing(batches):
        for begin in range(0, len(first), PART):
            yield first[begin : begin + PART]
        async for batch in batches:
            for begin in range(0, len(batch), PART):
                await asyncio.sleep(0)
                yield batch[begin : begin + PART]
