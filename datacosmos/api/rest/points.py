"""GET /points: all points of a range in one request, streamed, in the format that the client names."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Security
from starlette.responses import StreamingResponse

from datacosmos.api.bearer import BEARER
from datacosmos.api.lists.columns import fill_rows, time_texts, value_texts
from datacosmos.api.lists.exports import Export, Exports
from datacosmos.api.lists.formats import Format
from datacosmos.api.media import ARROW, CSV, JSON, NDJSON, VARY, choose
from datacosmos.api.readings import require_readings
from datacosmos.api.times import RULE, Given, make_window, read_each
from datacosmos.auth.permissions import AccessControl
from datacosmos.domain.columns import Columns
from datacosmos.domain.instants import parse_time
from datacosmos.http.parameters import StrictRoute
from datacosmos.http.problems import described
from datacosmos.sources.data_server import SERIES
from datacosmos.store.stores import Stores

ROW = b'{"time":%b,"value":%b}'


def _texts(rows: Columns) -> list[list[bytes]]:
    """Each time, and each value, as JSON has it."""
    return [time_texts(rows.time), value_texts(rows.value)]


def _json_rows(rows: Columns) -> bytes:
    return fill_rows(ROW, _texts(rows), len(rows))


def _json_lines(rows: Columns) -> bytes:
    return fill_rows(ROW + b"\n", _texts(rows), len(rows), between=b"")


def _csv_lines(rows: Columns) -> bytes:
    return fill_rows(b"%b,%b\r\n", _texts(rows), len(rows), between=b"").replace(b'"', b"")


FORMATS = {
    JSON: Format(_json_rows, b"[", b",", b"]"),
    NDJSON: Format(_json_lines),
    CSV: Format(_csv_lines, b"time,value\r\n"),
}
OFFERS = (*FORMATS, ARROW)


async def _format(media_type: str) -> Format[Columns]:
    return FORMATS[media_type] if media_type in FORMATS else await asyncio.to_thread(_import_arrow)


def _import_arrow() -> Format[Columns]:
    from datacosmos.api.lists.arrow import POINTS  # noqa: PLC0415 - takes 30 MB, which only those who ask need

    return POINTS


TIME = Query(
    min_length=1,
    description=f"{RULE} (a + is written %2B); compared to the millisecond, inclusive; none: open.",
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
        "description": "Every accepted point, by time. Where it fails it is broken off, before the array is closed.",
        "content": {
            JSON: {"schema": ARRAY, "example": [{"time": "2024-03-28T16:55:34Z", "value": -0.9523}]},
            NDJSON: {"schema": {"type": "string"}, "example": '{"time":"2024-03-28T16:55:34Z","value":-0.9523}\n'},
            CSV: {"schema": {"type": "string"}, "example": "time,value\r\n2024-03-28T16:55:34Z,-0.9523\r\n"},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **described(400, 401, 404, 406, 503),
}


def points_routes(stores: Stores, access: AccessControl, exports: Exports) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, tags=["points"])

    @router.get(
        "/points",
        summary="All accepted points of a series in a range",
        response_class=StreamingResponse,
        responses=ANSWERS,
        dependencies=[Security(BEARER)],
    )
    async def _export(
        request: Request,
        series: Annotated[str, Query(min_length=1, description="Which series.")] = SERIES,
        start: Annotated[Given, TIME] = None,
        end: Annotated[Given, TIME] = None,
    ) -> StreamingResponse:
        window = make_window(*read_each(parse_time, {"start": start, "end": end}))
        await require_readings(stores, access.admit(request.headers), series)
        media_type = choose(request.headers, OFFERS)
        written = await _format(media_type)
        batches = stores.points.columns(series, [window], freely=True)
        async with exports.begin(request) as done:
            first = await anext(batches)  # a store that is unavailable is still a 503 here
            return Export(written.write(first, batches), done, exports.pace, media_type=media_type, headers=VARY)

    return router
