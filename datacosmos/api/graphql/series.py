"""A series of readings, and the list of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import strawberry
from strawberry import UNSET
from strawberry.dataloader import DataLoader

from datacosmos.api.graphql.buckets import Bucket, buckets_of
from datacosmos.api.graphql.context import Context, Info
from datacosmos.api.graphql.cursors import decode_name, encode_name
from datacosmos.api.graphql.filters import PointFilter, filter_of
from datacosmos.api.graphql.listings import Listing, accepted
from datacosmos.api.graphql.paging import Connection, Edge, Paging, connection
from datacosmos.api.graphql.samples import Sampled, count_points, sampled_of
from datacosmos.api.graphql.scalars import BigInt
from datacosmos.api.graphql.types import Order, Point, is_down
from datacosmos.api.times import make_window
from datacosmos.domain import points as domain
from datacosmos.domain.intervals import Interval
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.points import Points

MOST_SERIES, SERIES_PAGE = 1_000, 100
T = TypeVar("T")


class Ends:
    """The oldest and the newest points of some series, asked for together."""

    def __init__(self, points: Points) -> None:
        self.oldest = DataLoader(partial(_each, points.oldest))
        self.newest = DataLoader(partial(_each, points.latest))


async def _each(read: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]], names: Sequence[str]) -> list[T | None]:
    found = await read(names)
    return [found.get(name) for name in names]


@strawberry.type(description="A series of readings.")
class Series:
    name: str
    source: str = strawberry.field(description="Where its first point came from; others may store into it, too.")
    ends: strawberry.Private[Ends]

    @strawberry.field(description="When its oldest point is.")
    async def first(self) -> datetime | None:
        return await self.ends.oldest.load(self.name)

    @strawberry.field(description="Its newest point.")
    async def last(self) -> Point | None:
        found = await self.ends.newest.load(self.name)
        return Point.of(found) if found else None

    @strawberry.field(description="How many points it has.")
    async def count(self, info: Info) -> BigInt:
        return BigInt(await count_points(info.context.stores, self.name, Window()))

    @strawberry.field(description="As the query `points`.")
    async def points(
        self,
        info: Info,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
        order: Order = Order.ASCENDING,
        where: PointFilter | None = UNSET,
    ) -> list[Point]:
        return await info.context.hold(points_of(info.context, self.name, (start, end), order, where).read, len)

    @strawberry.field(description="As the query `buckets`.")
    async def buckets(
        self, info: Info, start: datetime, end: datetime, interval: Interval, time_zone: str = "UTC"
    ) -> list[Bucket]:
        return await buckets_of(info.context, self.name, start, end, interval, time_zone)

    @strawberry.field(description="As the query `sampled`.")
    async def sampled(
        self, info: Info, start: datetime | None = UNSET, end: datetime | None = UNSET, width: int = 1000
    ) -> Sampled:
        return await sampled_of(info, self.name, start or None, end or None, width)


def points_of(
    context: Context,
    series: str,
    ends: tuple[datetime | None, datetime | None],
    order: Order,
    where: PointFilter | None,
) -> Listing[domain.Point, Point]:
    """The points of a series as a list, not yet read. Raises InvalidRange."""
    start, end = ends
    window, limit = make_window(start or None, end or None), context.max_points + 1
    asked = accepted(context.stores.points, series, window, limit, down=is_down(order), chosen=filter_of(where))
    return Listing(asked, Point.of, "pointsConnection, or GET /points", {"series": series})


async def series_page(info: Info, page: Paging, *, search: str | None, source: str | None) -> Connection[Series]:
    """Of the series that may be read."""
    permissions, names = info.context.permissions, info.context.stores.summaries.names
    permissions.require_no_wrong_token()
    among = None if permissions.caller else permissions.public_series
    found = await names.page(
        search=search,
        source=source,
        among=among,
        beyond=None if page.cursor is None else decode_name(page.cursor),
        limit=page.size + 1,
        down=page.backward,
    )
    ends = Ends(info.context.stores.points)
    edges = [Edge(cursor=encode_name(name), node=Series(name=name, source=origin, ends=ends)) for name, origin in found]
    return connection(edges, page, partial(names.count, search=search, source=source, among=among))
