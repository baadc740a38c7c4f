"""The scalars DateTime, BigInt and Duration."""

from collections.abc import Callable
from typing import Any, NewType, TypeVar

import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped

from datacosmos.api.times import RULE, format_time
from datacosmos.domain.instants import parse_time
from datacosmos.domain.intervals import parse_interval

T = TypeVar("T")


def _reader(name: str, parse: Callable[[str], T]) -> Callable[[object], T]:
    """Its errors name the scalar."""

    def read(value: object) -> T:
        try:
            return parse(value if isinstance(value, str) else repr(value))
        except ValueError as error:
            raise GraphQLError(f"{name}: {error}") from None

    return read


def _literal_reader(read: Callable[[object], T]) -> Callable[..., T]:
    """Its errors tell the place of the literal, too."""

    def read_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> T:
        try:
            return read(value_from_ast_untyped(node, variables))
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return read_literal


READ_TIME, READ_DURATION = _reader("DateTime", parse_time), _reader("Duration", parse_interval)
DATE_TIME = strawberry.scalar(
    name="DateTime",
    description=f"An instant. In: {RULE}; compared to the millisecond. Out: in UTC with Z.",
    serialize=format_time,
    parse_value=READ_TIME,
    parse_literal=_literal_reader(READ_TIME),
)

BigInt = NewType("BigInt", int)
BIG_INT = strawberry.scalar(name="BigInt", description="A whole number that 32 bits may not hold.", serialize=int)

DURATION = strawberry.scalar(
    name="Duration",
    description="How long. In: ISO 8601 (PT5M, P1D, P1W, P1M), or 90s, 5m, 1h, 1d. Out: ISO 8601.",
    serialize=str,
    parse_value=READ_DURATION,
    parse_literal=_literal_reader(READ_DURATION),
)
