"""The questions that can be asked."""

from datetime import datetime
from functools import partial
from typing import Annotated

import strawberry
from strawberry import UNSET
from strawberry.schema.config import StrawberryConfig

from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.cursors import Kind, decode_cursor
from datacosmos.api.graphql.errors import Schema
from datacosmos.api.graphql.fast import FastSchema
from datacosmos.api.graphql.limits import limit_extensions
from datacosmos.api.graphql.listings import POINT, READING, Accepted, Discarded, Listing, Located, Page, answer
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
)
from datacosmos.api.times import make_window
from datacosmos.domain.points import Reason
from datacosmos.errors import InvalidPage
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
        asked = Accepted(context.stores.points, series, window, context.max_points + 1)
        return await answer(
            info, Listing(asked, Point.of, "pointsConnection, or GET /points", {**POINT, "series": series})
        )

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
        asked = Accepted(context.stores.points, series, window, size + 1, position)
        return await answer(info, Page(asked, Point.of, Kind.POINTS, {**POINT, "series": series}))

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
        asked = Discarded(context.stores.points, reason or None, origin or None, window, context.max_points + 1)
        return await answer(info, Listing(asked, Discard.of, "discardsConnection"))

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
        asked = Discarded(context.stores.points, reason or None, origin or None, window, size + 1, position)
        return await answer(info, Page(asked, Discard.of, Kind.DISCARDS))

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
        asked = Located(context.stores.minutes, user_id, window, context.max_points + 1)
        return await answer(info, Listing(asked, LocationMinute.of))

    @strawberry.field(
        description="Accepted readings of a sensor, for any valid token, by time; start and end are inclusive."
    )
    async def sensor_readings(
        self, info: Info, sensor_id: str, start: datetime | None = UNSET, end: datetime | None = UNSET
    ) -> list[SensorReading] | None:
        context = info.context
        context.access.require_caller()
        window = make_window(start or None, end or None)
        asked = Accepted(context.stores.points, series_of(sensor_id), window, context.max_points + 1)
        convert = partial(SensorReading.of, sensor_id)
        return await answer(info, Listing(asked, convert, "pointsConnection", {**READING, "sensorId": sensor_id}))

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


def create_schema(settings: Settings, *, fast: bool = True) -> Schema:
    """Without `fast`, every list is completed by Strawberry itself, object by object: the same answers, later."""
    if fast:
        return FastSchema(settings, query=Query, config=CONFIG)
    return Schema(query=Query, config=CONFIG, extensions=limit_extensions(settings))


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
