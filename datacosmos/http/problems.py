"""Every error over HTTP as RFC 9457 problem details, the framework's own included."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from datacosmos.errors import (
    CannotForecast,
    CursorExpired,
    DeliveryTooLarge,
    Forbidden,
    InvalidLocation,
    InvalidUpload,
    KeyReused,
    NameTaken,
    QueryError,
    SeriesGone,
    TooManyNames,
    Unauthenticated,
    Unavailable,
    UnknownSeries,
    shorten,
)
from datacosmos.http.bodies import BodyTooLarge, BodyTooSlow, BrokenBody, UnknownEncoding

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS, LONGEST_DETAIL = 100, 1000
RETRY_AFTER = {"Retry-After": "5"}
# Of errors whose message is all there is to tell.
STATUSES: dict[type[Exception], int] = {
    QueryError: 400,
    BrokenBody: 400,
    TooManyNames: 400,
    Forbidden: 403,
    UnknownSeries: 404,
    SeriesGone: 404,
    BodyTooSlow: 408,
    NameTaken: 409,
    CursorExpired: 410,
    BodyTooLarge: 413,
    DeliveryTooLarge: 413,
    CannotForecast: 422,
    KeyReused: 422,
}
SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "parameter": {"type": "string"},
                    "index": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


class InvalidParameters(Exception):
    """A request whose query parameters can't be read; `faults` names each and says why."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {fault}" for name, fault in faults.items()))
        self.faults = faults


def problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, Any]] = (),
) -> Response:
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    shown = [{**error, "detail": shorten(error["detail"])} for error in errors[:MOST_ERRORS]]
    body |= {"detail": shorten(detail, LONGEST_DETAIL)} | ({"errors": shown} if shown else {})
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for its documentation; `default` keeps FastAPI from adding its 422."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    named = {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
    return {**named, "default": {"description": "Any other error", "content": content}}


def name_schemas(app: FastAPI, **schemas: Any) -> None:
    """Adds schemas to the documentation under names, by which generated clients call them too."""
    document = app.openapi

    def openapi() -> dict[str, Any]:
        documented = document()
        documented.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
        return documented

    app.openapi = openapi


def handle_problems(app: FastAPI) -> None:
    """Answer with a problem whatever a route raises, but for the unexpected."""
    name_schemas(app, Problem=SCHEMA)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(InvalidParameters, _parameters)
    app.add_exception_handler(InvalidLocation, _location)
    app.add_exception_handler(InvalidUpload, _upload)
    app.add_exception_handler(UnknownEncoding, _encoding)
    app.add_exception_handler(Unauthenticated, _unauthenticated)
    app.add_exception_handler(Unavailable, _unavailable)
    for kind, status in STATUSES.items():
        app.add_exception_handler(kind, _plainly(status))


async def _framework(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    details = {404: "There is nothing here; /docs lists what there is.", 405: "This route takes other methods."}
    headers = dict(error.headers or {})
    if "GET" in (allowed := headers.get("Allow", "").split(", ")):
        headers["Allow"] = ", ".join(sorted({*allowed, "HEAD"}))
    return problem(error.status_code, details.get(error.status_code, error.detail), headers=headers)


async def _validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    faults = {".".join(map(str, fault["loc"][1:])) or "body": str(fault["msg"]) for fault in error.errors()}
    return _faulty(faults)


async def _parameters(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidParameters)  # noqa: S101 - as registered
    return _faulty(error.faults)


async def _location(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidLocation)  # noqa: S101 - as registered
    return _faulty(error.faults)


def _faulty(faults: Mapping[str, str]) -> Response:
    errors = [{"parameter": name, "detail": fault} for name, fault in faults.items()]
    return problem(400, "; ".join(f"{name}: {fault}" for name, fault in faults.items()), errors=errors)


async def _upload(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidUpload)  # noqa: S101 - as registered
    errors = [({} if index is None else {"index": index}) | {"detail": fault} for index, fault in error.faults]
    return problem(400, str(error), errors=errors)


async def _encoding(_request: Request, error: Exception) -> Response:
    return problem(415, str(error), headers={"Accept-Encoding": "gzip"})


async def _unauthenticated(request: Request, error: Exception) -> Response:
    challenge = 'Bearer error="invalid_token"' if "authorization" in request.headers else "Bearer"
    return problem(401, str(error), headers={"WWW-Authenticate": challenge})


async def _unavailable(_request: Request, error: Exception) -> Response:
    return problem(503, f"{error}; try again later", headers=RETRY_AFTER)


def _plainly(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_request: Request, error: Exception) -> Response:
        return problem(status, str(error))

    return answer
