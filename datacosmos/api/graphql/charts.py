"""The questions that a chart asks: buckets, samples, the newest points, and which series there are."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from datacosmos.api.graphql.buckets import Bucket, DiscardBucket, buckets_of, discard_buckets_of
from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.paging import Connection, given, page_asked_for
from datacosmos.api.graphql.permissions import admins_only
from datacosmos.api.graphql.samples import Sampled, sampled_of
from datacosmos.api.graphql.series import MOST_SERIES, SERIES_PAGE, Ends, Series, series_page
from datacosmos.api.graphql.types import Point
from datacosmos.api.readings import latest_of, require_readings
from datacosmos.domain.intervals import Interval
from datacosmos.errors import InvalidPage
from datacosmos.sources.data_server import SERIES

# Strawberry's permissions take an argument called source for their own.
Source = Annotated[str | None, strawberry.argument(name="source")]


@strawberry.type
class Charts:
    """The questions that a chart asks."""

    @strawberry.field(
        description="What a series adds up to in each interval, empty ones too: from the multiple of the interval at "
        "or before `start` to the first after `end`. Only points within start and end count, both inclusive. Intervals "
        "of hours and less begin anew at each midnight in `timeZone`; days, weeks (from Monday), months and years "
        "follow its calendar. More than 10,000 are an error."
    )
    async def buckets(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        interval: Interval,
        series: str = SERIES,
        time_zone: str = "UTC",
    ) -> list[Bucket]:
        await require_readings(info.context.stores, info.context.permissions, series)
        return await buckets_of(info.context, series, start, end, interval, time_zone)

    @strawberry.field(
        description="How many readings were discarded in each interval, and why, for administrators: by when they were "
        "received, start and end inclusive, of a source or a series where one is given. Buckets begin as those of "
        "`buckets` do, in UTC.",
        extensions=[admins_only()],
    )
    async def discard_buckets(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        interval: Interval,
        origin: Source = UNSET,
        series: str | None = UNSET,
    ) -> list[DiscardBucket] | None:
        return await discard_buckets_of(info.context, given(origin), given(series), start, end, interval)

    @strawberry.field(
        description="Points of a series to draw a line through that is `width` pixels wide, by time: all of them where "
        "there are no more than 4 a pixel, else the first, last, least and greatest of each of `width` spans of the "
        "range, whose edges may be moved to the minute. Where an end is open, the first or last point stands for it."
    )
    async def sampled(
        self,
        info: Info,
        series: str = SERIES,
        start: datetime | None = UNSET,
        end: datetime | None = UNSET,
        width: int = 1000,
    ) -> Sampled:
        await require_readings(info.context.stores, info.context.permissions, series)
        return await sampled_of(info, series, start or None, end or None, width)

    @strawberry.field(
        description="The newest point of each series, in the order asked for; null where it has none, and, with an "
        "error, where it may not be read."
    )
    async def latest(
        self,
        info: Info,
        series: list[str] = [SERIES],  # noqa: B006  Strawberry reads it for the schema
    ) -> list[Point | None]:
        if len(series) > MOST_SERIES:
            raise InvalidPage(
                f"the newest points of {MOST_SERIES} series can be asked for at once, not of {len(series)}"
            )
        found, refused = await latest_of(info.context.stores, info.context.permissions, series)
        # An error in the place of an item becomes a null there and an error of the answer.
        items: list[Any] = [refused.get(name) or (Point.of(found[name]) if name in found else None) for name in series]
        return items

    @strawberry.field(description="One series of readings; null where there is none of that name.")
    async def series(self, info: Info, name: str) -> Series | None:
        await require_readings(info.context.stores, info.context.permissions, name)
        stores = info.context.stores
        source = await stores.summaries.names.source_of(name)
        return Series(name=name, source=source, ends=Ends(stores.points)) if source is not None else None

    @strawberry.field(
        description="The series of readings that may be read, by name; `search` is a part of the name, in capitals or "
        "not. `first` and `after` go forwards, `last` and `before` backwards from the end."
    )
    async def series_connection(
        self,
        info: Info,
        search: str | None = UNSET,
        origin: Source = UNSET,
        first: int | None = UNSET,
        after: str | None = UNSET,
        last: int | None = UNSET,
        before: str | None = UNSET,
    ) -> Connection[Series]:
        page = page_asked_for(first, after, last, before, default=SERIES_PAGE, most=MOST_SERIES)
        return await series_page(info, page, search=search or None, source=given(origin))
