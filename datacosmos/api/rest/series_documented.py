"""What the documentation says of the routes of series: bodies, answers, and examples that work as they stand."""

from dataclasses import asdict
from typing import Any

from fastapi import Security
from starlette.responses import Response

from datacosmos.api.bearer import BEARER
from datacosmos.api.media import CSV
from datacosmos.api.rest.answers import (
    DESCRIPTION,
    WHOLE,
    AverageAndSum,
    Count,
    Page,
    SeriesDescription,
    SeriesWithPoints,
    Stored,
    answered,
)
from datacosmos.api.times import RULE
from datacosmos.calculation.answers import Forecast, Foreseen, Interval
from datacosmos.domain.metrics import Metrics
from datacosmos.domain.series import MAX_NAMES
from datacosmos.http.problems import described
from datacosmos.sources.json.lists import MAX_ITEMS
from datacosmos.sources.pushed_points import MAX_NAME
from datacosmos.sources.uploads import MAX_UNIT

TIME = {
    "anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}],
    "description": f"Epoch seconds, whole or fractional, rounded to the microsecond; or {RULE}.",
}
VALUE = {"type": "number", "description": "A finite double."}
NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_NAME,
    "description": "Unique among the caller's series.",
}
UNIT = {"type": "string", "minLength": 1, "maxLength": MAX_UNIT}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": MAX_ITEMS}


def _body(schema: dict[str, Any], **examples: Any) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "examples": shown}}}}


def _forms(**others: Any) -> dict[str, Any]:
    """A series as points, or evenly sampled."""
    interval = {"type": "number", "minimum": 1e-6, "description": "Seconds."}
    return {
        "oneOf": [
            _object("points", points=_list(_object("t v", t=TIME, v=VALUE)), **others),
            _object("start interval values", start=TIME, interval=interval, values=_list(VALUE), **others),
        ]
    }


def _route(
    summary: str, answers: dict[int | str, Any], *problems: int, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {**answers, **described(*problems, 401, 503)},
        "status_code": next(iter(answers)),
        "openapi_extra": body,
        "dependencies": [Security(BEARER)],
    }


POINTS = [{"t": 1711644934, "v": 4.2}, {"t": "2024-03-28T16:55:34.5Z", "v": 4.25}, {"t": 1711644935, "v": 4.1}]
FURTHER = {"points": [{"t": 1711644936, "v": 4.3}]}
EVEN = {"start": "2024-03-28T16:55:34Z", "interval": 0.5, "values": [4.2, 4.25, 4.1]}
NAMED = [{"name": "mast", "t": 1711644934, "v": 4.2}, {"name": "roof/north", "t": 1711644934.5, "v": 17}]
METRICS = Metrics(
    3, 4.1, 4.25, 4.183333333333334, 12.55, 0.06236095644623247, 4.2, 4.11, 4.245, 4.183798114, 0.15, 1.0158
)
FORECAST = Forecast(1, 100, 0.5, [Foreseen(1711644935.5, 4.2, [Interval(95, 4.1, 4.3)])])
CSV_ANSWER = {CSV: {"schema": {"type": "string"}, "example": "t,v\r\n1711644934,4.2\r\n1711644934.5,4.25\r\n"}}
PUSH = (400, 403, 408, 413, 415)

READ = answered(SeriesWithPoints, WHOLE, "The series. A list that is not closed was broken off by a failure.")
READ["content"] |= CSV_ANSWER
CREATED = answered(SeriesDescription, asdict(DESCRIPTION), "Stored.")
CREATED["headers"] = {"Location": {"description": "Where it is read.", "schema": {"type": "string"}}}
APPENDED = answered(Stored, {"stored": 1, "already": 0}, "Stored, or there already.")

ROUTES: dict[str, dict[str, Any]] = {
    "create": _route(
        "Store a series",
        {201: CREATED},
        *PUSH,
        409,
        422,
        body=_body(
            _forms(name=NAME, unit=UNIT),
            points={"unit": "m/s", "points": POINTS},
            evenly_sampled={"unit": "m/s"} | EVEN,
        ),
    ),
    "list": _route("List series", {200: answered(Page, asdict(Page([DESCRIPTION], None)), "A page of series.")}, 400),
    "count": _route("Count series", {200: answered(Count, {"count": 1}, "How many.")}),
    "read": _route("Read a series back", {200: READ}, 400, 404),
    "delete": _route("Delete a series", {204: {"description": "Deleted."}}, 403, 404),
    "append": _route(
        "Append points to a series",
        {200: APPENDED},
        *PUSH,
        404,
        body=_body(_forms(), points=FURTHER, evenly_sampled=EVEN),
    ),
    "metrics": _route("Measure a series", {200: answered(Metrics, asdict(METRICS), "The metrics.")}, 400, 404),
    "forecast": _route(
        "Forecast a series", {200: answered(Forecast, asdict(FORECAST), "The points to come.")}, 400, 404, 422
    ),
    "push": _route(
        "Push points of any number of series",
        {201: answered(Stored, {"stored": 2, "already": 0}, "Stored, or there already.")},
        *PUSH,
        body=_body(
            _list(_object("name t v", name=NAME, t=TIME, v=VALUE))
            | {"minItems": 1, "description": f"Of at most {MAX_NAMES} names; a request of more is refused: split it."},
            points=NAMED,
        ),
    ),
    "average": _route(
        "Average and sum of a named series",
        {200: answered(AverageAndSum, {"avg": 4.2, "sum": 4.2}, "Both, of the points in the range.")},
        400,
        404,
    ),
}
