"""The scalars DateTime and BigInt."""

from datetime import datetime
from typing import NewType

import strawberry
from graphql import GraphQLError

from datacosmos.api.times import format_time
from datacosmos.domain.instants import parse_time


def _read(value: object) -> datetime:
    try:
        return parse_time(value if isinstance(value, str) else repr(value))
    except ValueError as error:
        raise GraphQLError(f"DateTime: {error}") from None


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="An instant in ISO 8601. In: with an offset or Z. Out: in UTC with Z.",
    serialize=format_time,
    parse_value=_read,
)

BigInt = NewType("BigInt", int)
BIG_INT = strawberry.scalar(name="BigInt", description="A whole number that 32 bits may not hold.", serialize=int)
