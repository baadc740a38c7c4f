"""The scalars DateTime, BigInt and Duration."""

from collections.abc import Callable
from typing import NewType, TypeVar

import strawberry
from graphql import GraphQLError

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


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description=f"An instant. In: {RULE}; compared to the millisecond. Out: in UTC with Z.",
    serialize=format_time,
    parse_value=_reader("DateTime", parse_time),
)

BigInt = NewType("BigInt", int)
BIG_INT = strawberry.scalar(name="BigInt", description="A whole number that 32 bits may not hold.", serialize=int)

DURATION = strawberry.scalar(
    name="Duration",
    description="How long. In: ISO 8601 (PT5M, P1D, P1W, P1M), or 90s, 5m, 1h, 1d. Out: ISO 8601.",
    serialize=str,
    parse_value=_reader("Duration", parse_interval),
)
