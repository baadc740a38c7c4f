"""The questions that can be asked."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry import UNSET
from strawberry.schema.config import StrawberryConfig

from datacosmos.api.graphql.changes import Subscription
from datacosmos.api.graphql.charts import Charts, Source
from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.cursors import Kind, decode_cursor
from datacosmos.api.graphql.errors import Schema
from datacosmos.api.graphql.fast import FastSchema
from datacosmos.api.graphql.filters import PointFilter, filter_of
from datacosmos.api.graphql.limits import limit_extensions
from datacosmos.api.graphql.listings import Listing, Page, accepted, answer, discarded, located
from datacosmos.api.graphql.operations import ChosenOperation
from datacosmos.api.graphql.paging import Connection, PageSize, page_asked_for
from datacosmos.api.graphql.permissions import admins_only, owner_only
from datacosmos.api.graphql.samples import count_points
from datacosmos.api.graphql.scalars import BIG_INT, DATE_TIME, DURATION, BigInt
from datacosmos.api.graphql.series import points_of
from datacosmos.api.graphql.stored import StoredQueries
from datacosmos.api.graphql.types import (
    Discard,
    LocationMinute,
    Order,
    Point,
    Receipt,
    SensorReading,
    SourceLedger,
    is_down,
)
from datacosmos.api.readings import require_readings
from datacosmos.api.times import make_window
from datacosmos.domain.intervals import Interval
from datacosmos.domain.points import Reason
from datacosmos.settings import Settings
from datacosmos.sources.data_server import SERIES
from datacosmos.sources.sensors import series_of

Id = Annotated[strawberry.ID, strawberry.argument(name="id")]
POINTS_PAGE, DISCARDS_PAGE = PageSize(1000), PageSize(100)
CONFIG = StrawberryConfig(scalar_map={datetime: DATE_TIME, BigInt: BIG_INT, Interval: DURATION})


@strawberry.type
class Query(Charts, StoredQueries):
    @strawberry.field(
        description="Accepted points of a series, by time, then id; start and end are inclusive. "
        "More than the service's limit are an error, never cut short."
    )
    async def points(
        self,
        info: Info,
        series: str = SERIES,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
        order: Order = Order.ASCENDING,
        where: PointFilter | None = UNSET,
    ) -> list[Point]:
        await require_readings(info.context.stores, info.context.permissions, series)
        return await answer(info, points_of(info.context, series, (start, end), order, where))

    @strawberry.field(
        description="The same points, page by page, ascending. `first` and `after` go forwards, `last` and `before` "
        "backwards from the end: `last: 1` is the newest."
    )
    async def points_connection(  # noqa: PLR0913, PLR0917 - so Strawberry learns of the arguments
        self,
        info: Info,
        series: str = SERIES,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
        first: int = POINTS_PAGE,
        after: str | None = UNSET,
        last: int | None = UNSET,
        before: str | None = UNSET,
        where: PointFilter | None = UNSET,
    ) -> Connection[Point]:
        context = info.context
        await require_readings(context.stores, context.permissions, series)
        window = make_window(start or None, end or None)
        most = context.max_points
        page = page_asked_for(first, after, last, before, default=POINTS_PAGE, most=most)
        position = None if page.cursor is None else decode_cursor(Kind.POINTS, page.cursor)
        points, chosen = context.stores.points, filter_of(where)
        asked = accepted(points, series, window, page.size + 1, position, down=page.backward, chosen=chosen)
        count = partial(count_points, context.stores, series, window, chosen)
        return await answer(info, Page(asked, Point.of, Kind.POINTS, page, count, {"series": series}))

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
        order: Order = Order.ASCENDING,
    ) -> list[Discard] | None:
        points, most = info.context.stores.points, info.context.max_points
        window = make_window(start or None, end or None)
        asked = discarded(points, reason or None, window, origin or None, most + 1, down=is_down(order))
        return await answer(info, Listing(asked, Discard.of, "discardsConnection"))

    @strawberry.field(
        description="One discard, for administrators; null where there is none.", extensions=[admins_only()]
    )
    async def discard(self, info: Info, identifier: Id) -> Discard | None:
        found = await info.context.stores.points.discard(identifier)
        return Discard.of(found) if found else None

    @strawberry.field(
        description="The same discards, page by page, as in pointsConnection.", extensions=[admins_only()]
    )
    async def discards_connection(  # noqa: PLR0913, PLR0917 - so Strawberry learns of the arguments
        self,
        info: Info,
        reason: Reason | None = UNSET,
        origin: Source = UNSET,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
        first: int = DISCARDS_PAGE,
        after: str | None = UNSET,
        last: int | None = UNSET,
        before: str | None = UNSET,
    ) -> Connection[Discard] | None:
        points, most = info.context.stores.points, info.context.max_points
        window = make_window(start or None, end or None)
        page = page_asked_for(first, after, last, before, default=DISCARDS_PAGE, most=most)
        position = None if page.cursor is None else decode_cursor(Kind.DISCARDS, page.cursor)
        chosen, limit = (reason or None, window, origin or None), page.size + 1
        asked = discarded(points, *chosen, limit, position, down=page.backward)
        page_found = Page(asked, Discard.of, Kind.DISCARDS, page, lambda: points.count_discarded(*chosen))
        return await answer(info, page_found)

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
        asked = located(context.stores.minutes, user_id, window, context.max_points + 1)
        return await answer(info, Listing(asked, LocationMinute.of))

    @strawberry.field(
        description="Accepted readings of a sensor, for any valid token, by time; start and end are inclusive."
    )
    async def sensor_readings(
        self, info: Info, sensor_id: str, start: datetime | None = UNSET, end: datetime | None = UNSET
    ) -> list[SensorReading] | None:
        context = info.context
        context.permissions.require_caller()
        window = make_window(start or None, end or None)
        asked = accepted(context.stores.points, series_of(sensor_id), window, context.max_points + 1)
        convert = partial(SensorReading.of, sensor_id)
        return await answer(info, Listing(asked, convert, "pointsConnection", {"sensor_id": sensor_id}))

    @strawberry.field(
        description="What became of one delivery, for whoever sent it and administrators; null until it is written."
    )
    async def receipt(self, info: Info, delivery_id: strawberry.ID) -> Receipt | None:
        found = await info.context.stores.receipts.get(delivery_id)
        if found is None or not info.context.permissions.may_see_receipt_of(found.sender):
            return None
        return Receipt.of(found)

    @strawberry.field(
        description="What became of all that was received, source by source, for administrators.",
        extensions=[admins_only()],
    )
    async def ingestion(self, info: Info) -> list[SourceLedger] | None:
        return [SourceLedger.of(ledger) for ledger in await info.context.intake.ledgers()]


ROOTS: dict[str, Any] = {"query": Query, "subscription": Subscription, "config": CONFIG}


def create_schema(settings: Settings, *, fast: bool = True) -> Schema:
    """Without `fast`, every list is completed by Strawberry itself, object by object: the same answers, later."""
    if fast:
        return FastSchema(settings, **ROOTS)
    return Schema(**ROOTS, extensions=[*limit_extensions(settings), ChosenOperation])


def print_schema() -> str:
    """The SDL, the same for all settings."""
    return Schema(**ROOTS).as_str() + "\n"
