"""The scalar DateTime."""

from datetime import datetime

import strawberry
from graphql import GraphQLError

from datacosmos.api.times import format_time, parse_time


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
