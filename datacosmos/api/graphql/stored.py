"""Stored series, what /series and /api keep, for charts: which there are, and what they add up to."""

from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Self

import strawberry
from strawberry import UNSET

from datacosmos.api.graphql.buckets import Bucket, bucketed
from datacosmos.api.graphql.context import Context, Info
from datacosmos.api.graphql.cursors import decode_name, encode_name
from datacosmos.api.graphql.paging import Connection, Edge, connection, page_asked_for
from datacosmos.api.graphql.samples import check_width
from datacosmos.api.graphql.scalars import BigInt
from datacosmos.api.graphql.series import MOST_SERIES, SERIES_PAGE
from datacosmos.api.times import format_time
from datacosmos.calculation.client import ById
from datacosmos.domain.intervals import Interval
from datacosmos.domain.series import Samples, from_datetime, to_datetime
from datacosmos.errors import InvalidPage, InvalidRange, SeriesGone, TooManyPoints
from datacosmos.store.series import roots
from datacosmos.store.series.roots import Snapshot
from datacosmos.store.series.series import EVERYONE

KIND = "stored"  # of a cursor
Id = Annotated[strawberry.ID | None, strawberry.argument(name="id")]


@strawberry.type(description="One value at one time in a stored series.")
class StoredPoint:
    time: datetime
    value: float

    @classmethod
    def all(cls, samples: Samples) -> list[Self]:
        pairs = zip(samples.t.tolist(), samples.v.tolist(), strict=True)
        return [cls(time=to_datetime(time), value=value) for time, value in pairs]


@strawberry.type(description="As Sampled, of a stored series; the edges of its spans are exact.")
class StoredSampled:
    points: list[StoredPoint]
    source_count: BigInt = strawberry.field(description="How many points the range holds.")
    exact: bool = strawberry.field(description="Whether `points` are all of them.")


@strawberry.type(
    description="Statistics of a range: std is the population's, percentiles interpolate linearly between the nearest "
    "ranks. What there are no values for, or what is beyond a double, is null."
)
class StoredMetrics:
    count: BigInt
    min: float | None
    max: float | None
    mean: float | None
    sum: float | None
    std: float | None
    median: float | None
    p05: float | None
    p95: float | None
    rms: float | None
    peak_to_peak: float | None
    crest_factor: float | None


@strawberry.type(description="A series that was stored by POST /series or /api.")
class StoredSeries:
    id: strawberry.ID
    name: str | None
    unit: str | None
    count: BigInt
    start: datetime | None = strawberry.field(description="When its first point is.")
    end: datetime | None

    @classmethod
    def of(cls, series: roots.Series) -> Self:
        return cls(
            id=strawberry.ID(series.id),
            name=series.name,
            unit=series.unit,
            count=BigInt(series.count),
            start=None if series.start is None else to_datetime(series.start),
            end=None if series.end is None else to_datetime(series.end),
        )

    @strawberry.field(description="By time; more than the service's limit are an error, never cut short.")
    async def points(
        self, info: Info, start: datetime | None = UNSET, end: datetime | None = UNSET
    ) -> list[StoredPoint]:
        context = info.context
        return await context.hold(partial(self._points, context, *range_of(start, end)), len)

    @strawberry.field(description="As the query `buckets`.")
    async def buckets(
        self, info: Info, start: datetime, end: datetime, interval: Interval, time_zone: str = "UTC"
    ) -> list[Bucket]:
        first, last = range_of(start, end)
        assert first is not None  # noqa: S101  both were given
        assert last is not None  # noqa: S101
        gather = partial(info.context.stores.series.gathered, await self._snapshot(info.context))
        return await info.context.hold(partial(bucketed, gather, first, last, interval, time_zone), len)

    @strawberry.field(description="As the query `sampled`.")
    async def sampled(
        self, info: Info, start: datetime | None = UNSET, end: datetime | None = UNSET, width: int = 1000
    ) -> StoredSampled:
        check_width(width)
        snapshot = await self._snapshot(info.context)
        read = partial(info.context.stores.series.sampled, snapshot, *range_of(start, end), width=width)
        sampled = await info.context.hold(read, lambda sampled: len(sampled.samples))
        return StoredSampled(
            points=StoredPoint.all(sampled.samples), source_count=BigInt(sampled.count), exact=sampled.is_exact
        )

    @strawberry.field(description="Of all values of a range, both ends inclusive.")
    async def metrics(self, info: Info, start: datetime | None = UNSET, end: datetime | None = UNSET) -> StoredMetrics:
        found = await info.context.calculation.metrics(ById(self.id), *range_of(start, end))
        return StoredMetrics(**asdict(found) | {"count": BigInt(found.count)})

    async def _points(self, context: Context, start: int | None, end: int | None) -> list[StoredPoint]:
        found, most = list[StoredPoint](), context.max_points
        chunks = context.stores.series.chunks(await self._snapshot(context), start, end)
        async with aclosing(chunks):
            async for samples in chunks:
                if len(found) + len(samples) > most:
                    raise TooManyPoints(f"there are more than {most} points; ask for `sampled`, or GET /series/id")
                found += StoredPoint.all(samples)
        return found

    async def _snapshot(self, context: Context) -> Snapshot:
        snapshot = await context.stores.series.get(self.id)
        if snapshot is None:
            raise SeriesGone("the series was deleted while it was read")
        return snapshot


@strawberry.type
class StoredQueries:
    """What can be asked of stored series: of the caller's own; an administrator sees everybody's."""

    @strawberry.field(
        description="One stored series, by its id, or by its name among the caller's own; null where there is "
        "none that the caller may read."
    )
    async def stored_series(self, info: Info, identifier: Id = UNSET, name: str | None = UNSET) -> StoredSeries | None:
        series, permissions = info.context.stores.series, info.context.permissions
        permissions.require_no_wrong_token()
        if bool(identifier) == bool(name):
            raise InvalidPage("give the id or the name of a stored series, one of them")
        found = await (series.get(identifier) if identifier else series.find(permissions.owner, name or ""))
        return StoredSeries.of(found) if found is not None and permissions.may_see(found.owner) else None

    @strawberry.field(
        description="The caller's stored series, the oldest first; an administrator sees everybody's. `search` is a "
        "part of the name, in capitals or not. `first` and `after` go forwards, `last` and `before` backwards from the "
        "end."
    )
    async def stored_series_connection(
        self,
        info: Info,
        search: str | None = UNSET,
        first: int | None = UNSET,
        after: str | None = UNSET,
        last: int | None = UNSET,
        before: str | None = UNSET,
    ) -> Connection[StoredSeries]:
        page = page_asked_for(first, after, last, before, default=SERIES_PAGE, most=MOST_SERIES)
        permissions = info.context.permissions
        permissions.require_no_wrong_token()
        series, owner = info.context.stores.series, EVERYONE if permissions.is_admin else permissions.owner
        found = await series.list(
            owner,
            limit=page.size + 1,
            after=None if page.cursor is None else decode_name(page.cursor, KIND),
            search=search or "",
            down=page.backward,
        )
        edges = [Edge(cursor=encode_name(one.id, KIND), node=StoredSeries.of(one)) for one in found]
        return connection(edges, page, partial(series.count, owner, search or ""))


def range_of(start: datetime | None, end: datetime | None) -> tuple[int | None, int | None]:
    """In microseconds since the epoch. Raises InvalidRange."""
    if start and end and start > end:
        raise InvalidRange(f"start ({format_time(start)}) is after end ({format_time(end)})")
    return (from_datetime(start) if start else None, from_datetime(end) if end else None)
