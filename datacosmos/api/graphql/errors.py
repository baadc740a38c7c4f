"""Errors as a client sees them: ours with a code, the framework's as they are, all others masked."""

from typing import Any

import strawberry
import structlog
from graphql import GraphQLError
from strawberry.types import ExecutionContext

from datacosmos.errors import (
    DatacosmosError,
    Forbidden,
    InvalidCursor,
    InvalidPage,
    InvalidRange,
    TooManyPoints,
    Unauthenticated,
    Unavailable,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

CODES: dict[type[DatacosmosError], str] = {
    InvalidRange: "INVALID_RANGE",
    InvalidPage: "INVALID_PAGE",
    InvalidCursor: "INVALID_CURSOR",
    TooManyPoints: "TOO_MANY_POINTS",
    Unauthenticated: "UNAUTHENTICATED",
    Forbidden: "FORBIDDEN",
    Unavailable: "UNAVAILABLE",
}


class Schema(strawberry.Schema):
    """Strawberry's, but for its log: a client's mistake is no error of ours."""

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
    if is_unexpected(error):
        presented["message"] = f"An unexpected error; the log tells more under the request id {request_id}."
        presented["extensions"] = {"code": "INTERNAL", "requestId": request_id}
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
    return not (original is None or isinstance(original, GraphQLError) or code_of(original))


def code_of(error: BaseException | None) -> str | None:
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), None)
