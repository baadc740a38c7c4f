"""The questions that can be asked."""

from datetime import datetime
from typing import Annotated

import strawberry
from graphql import GraphQLError
from strawberry import UNSET
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.cursors import Kind, decode_cursor
from datacosmos.api.graphql.errors import log_error
from datacosmos.api.graphql.limits import limit_extensions
from datacosmos.api.graphql.permissions import admins_only, owner_only
from datacosmos.api.graphql.scalars import BIG_INT, DATE_TIME, BigInt
from datacosmos.api.graphql.types import (
    Connection,
    Discard,
    LocationMinute,
    Point,
    Receipt,
    SensorReading,
    SourceLedger,
    connect,
)
from datacosmos.api.times import make_window
from datacosmos.domain.points import Reason
from datacosmos.errors import InvalidPage, TooManyPoints
from datacosmos.settings import Settings
from datacosmos.sources.data_server import SERIES
from datacosmos.sources.sensors import series_of

# Strawberry's permissions take an argument called source for their own.
Source = Annotated[str | None, strawberry.argument(name="source")]
POINTS_PAGE, DISCARDS_PAGE = 1000, 100
CONFIG = StrawberryConfig(scalar_map={datetime: DATE_TIME, BigInt: BIG_INT})


@strawberry.type
class Query:
    @strawberry.field(
        description="Accepted points of a series, by time, then id; start and end are inclusive. "
        "More than the service's limit are an error, never cut short."
    )
    async def points(
        self, info: Info, series: str = SERIES, start: datetime | None = UNSET, end: datetime | None = UNSET
    ) -> list[Point]:
        context = info.context
        context.access.require_series(series)
        window = make_window(start or None, end or None)
        found = await context.stores.points.accepted(series, window, limit=context.max_points + 1)
        _refuse_more_than(context.max_points, len(found), "pointsConnection, or GET /points")
        return [Point.of(point) for point in found]

    @strawberry.field(description="The same points, page by page.")
    async def points_connection(
        self,
        info: Info,
        series: str = SERIES,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
        first: int = POINTS_PAGE,
        after: str | None = UNSET,
    ) -> Connection[Point]:
        context = info.context
        context.access.require_series(series)
        window = make_window(start or None, end or None)
        size = page_size(first, POINTS_PAGE, context.max_points)
        position = None if after is UNSET or after is None else decode_cursor(Kind.POINTS, after)
        found = await context.stores.points.accepted(series, window, limit=size + 1, after=position)
        return connect(found, size, Kind.POINTS, Point.of, has_previous=position is not None)

    @strawberry.field(
        description="What was discarded, for administrators, by receivedAt, then id; start and end are inclusive "
        "and mean receivedAt. `reason` matches any of a point's reasons.",
        extensions=[admins_only()],
    )
    async def discards(
        self,
        info: Info,
        reason: Reason | None = UNSET,
        origin: Source = UNSET,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
    ) -> list[Discard] | None:
        context = info.context
        window = make_window(start or None, end or None)
        limit = context.max_points + 1
        found = await context.stores.points.discards(reason or None, window, limit=limit, source=origin or None)
        _refuse_more_than(context.max_points, len(found), "discardsConnection")
        return [Discard.of(point) for point in found]

    @strawberry.field(description="The same discards, page by page.", extensions=[admins_only()])
    async def discards_connection(
        self,
        info: Info,
        reason: Reason | None = UNSET,
        origin: Source = UNSET,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
        first: int = DISCARDS_PAGE,
        after: str | None = UNSET,
    ) -> Connection[Discard] | None:
        context = info.context
        window = make_window(start or None, end or None)
        size = page_size(first, DISCARDS_PAGE, context.max_points)
        position = None if after is UNSET or after is None else decode_cursor(Kind.DISCARDS, after)
        found = await context.stores.points.discards(
            reason or None, window, limit=size + 1, after=position, source=origin or None
        )
        return connect(found, size, Kind.DISCARDS, Discard.of, has_previous=position is not None)

    @strawberry.field(
        description="A user's minutes, for that user and administrators, ascending; start and end are inclusive and "
        "mean when the minute begins.",
        extensions=[owner_only()],
    )
    async def locations(
        self, info: Info, user_id: str, start: datetime | None = UNSET, end: datetime | None = UNSET
    ) -> list[LocationMinute] | None:
        context = info.context
        window = make_window(start or None, end or None)
        found = await context.stores.minutes.read(user_id, window, limit=context.max_points + 1)
        _refuse_more_than(context.max_points, len(found))
        return [LocationMinute.of(minute) for minute in found]

    @strawberry.field(
        description="Accepted readings of a sensor, for any valid token, by time; start and end are inclusive."
    )
    async def sensor_readings(
        self, info: Info, sensor_id: str, start: datetime | None = UNSET, end: datetime | None = UNSET
    ) -> list[SensorReading] | None:
        context = info.context
        context.access.require_caller()
        window = make_window(start or None, end or None)
        found = await context.stores.points.accepted(series_of(sensor_id), window, limit=context.max_points + 1)
        _refuse_more_than(context.max_points, len(found), "pointsConnection")
        return [SensorReading.of(sensor_id, point) for point in found]

    @strawberry.field(
        description="What became of one delivery, for whoever sent it and administrators; null until it is written."
    )
    async def receipt(self, info: Info, delivery_id: strawberry.ID) -> Receipt | None:
        found = await info.context.stores.receipts.get(delivery_id)
        if found is None or not info.context.access.may_see_receipt_of(found.sender):
            return None
        return Receipt.of(found)

    @strawberry.field(
        description="What became of all that was received, source by source, for administrators.",
        extensions=[admins_only()],
    )
    async def ingestion(self, info: Info) -> list[SourceLedger] | None:
        return [SourceLedger.of(ledger) for ledger in await info.context.intake.ledgers()]


class Schema(strawberry.Schema):
    """Strawberry's, but for its log: a client's mistake is no error of ours."""

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,  # noqa: ARG002
    ) -> None:
        for error in errors:
            log_error(error)


def create_schema(settings: Settings) -> Schema:
    return Schema(
        query=Query,
        config=CONFIG,
        extensions=limit_extensions(settings),
    )


def print_schema() -> str:
    """The SDL, the same for all settings."""
    return Schema(query=Query, config=CONFIG).as_str() + "\n"


def page_size(first: int, default: int, max_points: int) -> int:
    """`first`, between 1 and max_points; the default itself gives way to a smaller max_points."""
    if first == default:
        return min(default, max_points)
    if 1 <= first <= max_points:
        return first
    raise InvalidPage(f"first is {first}; a page holds 1 to {max_points}")


def _refuse_more_than(max_points: int, found: int, elsewhere: str = "") -> None:
    if found > max_points:
        raise TooManyPoints(
            f"more than {max_points} are in this range, which is the limit of a plain list; narrow start and end"
            + (f", or use {elsewhere}" if elsewhere else "")
        )
