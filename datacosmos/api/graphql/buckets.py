"""What a series adds up to in each interval."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, tzinfo
from functools import cache, partial
from math import isinf
from typing import Self
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import strawberry
from numpy.typing import NDArray

from datacosmos.api.graphql.context import Context
from datacosmos.api.graphql.scalars import BigInt
from datacosmos.api.graphql.types import ReasonCount
from datacosmos.api.times import make_window
from datacosmos.domain.discards import Counts, by_reason
from datacosmos.domain.intervals import Interval, TooManyBuckets, edges
from datacosmos.domain.series import from_datetime, to_datetime
from datacosmos.domain.summaries import Parts, averages
from datacosmos.errors import InvalidInterval

MOST_BUCKETS = 10_000
Gather = Callable[[NDArray[np.int64], int, int], Awaitable[Parts]]


@strawberry.type(description="What the points of a span add up to: at or after `start`, before `end`.")
class Bucket:
    start: datetime
    end: datetime
    count: BigInt
    avg: float | None
    min: float | None
    max: float | None
    total: strawberry.Private[float]
    first: float | None = strawberry.field(description="The value of the first of them, by time.")
    last: float | None

    @strawberry.field(description="0 where there are none; an error where it is beyond a double.")
    def sum(self) -> float:
        if isinf(self.total):
            raise InvalidInterval("this sum is beyond a double; ask for shorter intervals, or leave it out")
        return self.total


async def buckets_of(
    context: Context, series: str, start: datetime, end: datetime, interval: Interval, time_zone: str
) -> list[Bucket]:
    gather = partial(context.stores.summaries.gathered, series)
    return await context.hold(partial(bucketed, gather, *_span(start, end), interval, time_zone), len)


def _span(start: datetime, end: datetime) -> tuple[int, int]:
    """In microseconds since the epoch. Raises InvalidRange."""
    window = make_window(start, end)
    assert window.start is not None  # noqa: S101  both were given
    assert window.end is not None  # noqa: S101
    return from_datetime(window.start), from_datetime(window.end)


async def bucketed(gather: Gather, first: int, last: int, interval: Interval, time_zone: str) -> list[Bucket]:
    """Of what lies within [first, last], microseconds since the epoch."""
    found = _edges(first, last, interval, time_zone)
    parts = await gather(found, first, last)
    times = [to_datetime(edge) for edge in found.tolist()]
    return buckets(parts, times)


def _edges(first: int, last: int, interval: Interval, time_zone: str) -> NDArray[np.int64]:
    """Raises InvalidInterval."""
    try:
        return edges(first, last, interval, zone_of(time_zone), MOST_BUCKETS)
    except TooManyBuckets as error:
        raise InvalidInterval(str(error)) from None


def buckets(parts: Parts, times: Sequence[datetime]) -> list[Bucket]:
    """Of records of PART, each between two times."""
    values = [averages(parts), *(parts[name] for name in ("min", "max", "first", "last"))]
    known = zip(*(column.tolist() for column in values), strict=True)
    counts, sums = parts["n"].tolist(), parts["sum"].tolist()
    return [
        Bucket(
            start=start,
            end=end,
            count=BigInt(n),
            avg=avg if n else None,
            min=low if n else None,
            max=high if n else None,
            total=total,
            first=first if n else None,
            last=last if n else None,
        )
        for n, total, (avg, low, high, first, last), start, end in zip(
            counts, sums, known, times[:-1], times[1:], strict=True
        )
    ]


@strawberry.type(description="What was received at or after `start`, before `end`, and discarded.")
class DiscardBucket:
    start: datetime
    end: datetime
    count: BigInt
    by_reason: list[ReasonCount] = strawberry.field(
        description="By the first of their reasons, in order of precedence; those that occurred."
    )

    @classmethod
    def of(cls, counts: Counts, start: datetime, end: datetime) -> Self:
        return cls(
            start=start, end=end, count=BigInt(int(counts["n"].sum())), by_reason=ReasonCount.all(by_reason(counts))
        )


async def discard_buckets_of(
    context: Context, source: str | None, series: str | None, start: datetime, end: datetime, interval: Interval
) -> list[DiscardBucket]:
    first, last = _span(start, end)
    found = _edges(first, last, interval, "UTC")
    times = [to_datetime(edge) for edge in found.tolist()]

    async def read() -> list[DiscardBucket]:
        counts = await context.stores.summaries.discarded(source, series, found, first, last)
        some = np.split(counts, np.searchsorted(counts["at"], np.arange(1, len(times) - 1)))
        return [DiscardBucket.of(*each) for each in zip(some, times, times[1:], strict=False)]

    return await context.hold(read, len)


@cache
def zones() -> frozenset[str]:
    """Without the two that are no place's: one depends on the machine, the other is none."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def zone_of(name: str) -> tzinfo:
    """Raises InvalidInterval."""
    if name not in zones():
        raise InvalidInterval(f"timeZone {name[:40]!r} is no name of the time zone database, like UTC or Europe/Berlin")
    return ZoneInfo(name)
