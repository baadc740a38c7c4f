"""Errors as a client sees them: ours with a code, the framework's as they are, all others masked."""

from typing import Any

import strawberry
import structlog
from graphql import GraphQLError, GraphQLSchema
from strawberry.types import ExecutionContext

from datacosmos.errors import (
    AnswerTooLarge,
    CursorExpired,
    DatacosmosError,
    Forbidden,
    InvalidCursor,
    InvalidInterval,
    InvalidPage,
    InvalidRange,
    Lagging,
    SeriesGone,
    TooManyPoints,
    Unauthenticated,
    Unavailable,
    UnknownSeries,
    shorten,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

CODES: dict[type[DatacosmosError], str] = {
    InvalidRange: "INVALID_RANGE",
    InvalidInterval: "INVALID_INTERVAL",
    InvalidPage: "INVALID_PAGE",
    InvalidCursor: "INVALID_CURSOR",
    CursorExpired: "CURSOR_EXPIRED",
    TooManyPoints: "TOO_MANY_POINTS",
    AnswerTooLarge: "ANSWER_TOO_LARGE",
    Unauthenticated: "UNAUTHENTICATED",
    Forbidden: "FORBIDDEN",
    UnknownSeries: "UNKNOWN_SERIES",
    SeriesGone: "UNKNOWN_SERIES",
    Lagging: "LAGGING",
    Unavailable: "UNAVAILABLE",
}


class Schema(strawberry.Schema):
    """Strawberry's, but for its log: a client's mistake is no error of ours."""

    @property
    def graphql_schema(self) -> GraphQLSchema:
        return self._schema

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,  # noqa: ARG002
    ) -> None:
        for error in errors:
            log_error(error)


def present_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """The error as the answer carries it."""
    presented: dict[str, Any] = dict(error.formatted)
    presented["message"] = shorten(error.message)
    if is_unexpected(error):
        presented["message"] = f"An unexpected error; the log tells more under the request id {request_id}."
        presented["extensions"] = {"code": "INTERNAL", "requestId": request_id}
    elif is_unreadable(error):
        presented["message"] = "this value can't be read; a number may not have thousands of digits"
    elif code := code_of(error.original_error):
        presented["extensions"] = {"code": code}
    return presented


def log_error(error: GraphQLError) -> None:
    """What the client is told in full needs no line in the log; what it is not told does."""
    if is_unexpected(error):
        log.error("field failed", path=error.path, exc_info=error.original_error)
    elif isinstance(error.original_error, Unavailable):
        log.warning("field unavailable", path=error.path, error=str(error.original_error))


def is_unexpected(error: GraphQLError) -> bool:
    original = error.original_error
    expected = original is None or isinstance(original, GraphQLError) or code_of(original) or is_unreadable(error)
    return not expected


def is_unreadable(error: GraphQLError) -> bool:
    """Whether it is about a literal that can't be made the value of its type, which is found before any execution."""
    return isinstance(error.original_error, ValueError) and error.path is None and bool(error.nodes)


def code_of(error: BaseException | None) -> str | None:
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), None)
