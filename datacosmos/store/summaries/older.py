"""Marks what earlier versions stored, by the day: points and discards that were stored without marks."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import TypeVar

from datacosmos.domain.series import EARLIEST, from_datetime, to_datetime
from datacosmos.domain.summaries import DAY, MINUTE
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.points import Points
from datacosmos.store.summaries.kinds import DiscardsOf, Key
from datacosmos.store.summaries.summaries import Summaries

DAYS_AT_ONCE = 100
T = TypeVar("T")


async def mark_points(found: Summaries, reached: tuple[str, int] | None) -> AsyncGenerator[tuple[str, int]]:
    """Yields series and day up to which all days are marked, after the one that was reached before."""
    async with aclosing(_some(days(found.points, reached))) as several:
        async for some in several:
            minutes: dict[Key, list[int]] = defaultdict(list)
            for series, _, day in some:
                minutes[series] += _minutes_of(day)
            await found.names.add([(series, source) for series, source, _ in some])
            await found.marks.add(minutes)
            if len(some) == DAYS_AT_ONCE:
                series, _, day = some[-1]
                yield series, day


async def mark_discards(found: Summaries, reached: tuple[str, int] | None) -> AsyncGenerator[tuple[str, int]]:
    """Likewise, of a day with what there are discards of."""
    marked = 0
    async with aclosing(days_of_discards(found.points, reached[1] if reached else None)) as several:
        async for day, keys in several:
            for some in _parted(keys):
                minutes: dict[Key, range] = dict.fromkeys(some, _minutes_of(day))
                await found.marks.add(minutes)
            marked += len(keys)
            if marked >= DAYS_AT_ONCE:
                marked = 0
                yield "", day


async def days(points: Points, after: tuple[str, int] | None = None) -> AsyncGenerator[tuple[str, str, int]]:
    """Series, source, and the beginning of each day that has accepted points, by series and day, after one of them."""
    found = await (points.next(after[0], to_datetime(after[1] + DAY - 1)) if after else points.next(""))
    while found:
        series, source, time = found
        day = from_datetime(time) // DAY * DAY
        yield series, source, day
        found = await points.next(series, to_datetime(day + DAY - 1))


async def days_of_discards(points: Points, after: int | None = None) -> AsyncGenerator[tuple[int, set[DiscardsOf]]]:
    """The beginning of each day that has discards, after one of them, and of what it has them."""
    at = await points.next_discard(to_datetime(EARLIEST if after is None else after + DAY))
    while at:
        day = from_datetime(at) // DAY * DAY
        found = await points.discarded_keys(Window(to_datetime(day), to_datetime(day + DAY - 1)))
        yield day, {DiscardsOf(source, some) for source, series in found for some in (None, series)}
        at = await points.next_discard(to_datetime(day + DAY))


async def _some(found: AsyncGenerator[T]) -> AsyncGenerator[list[T]]:
    """In lists of DAYS_AT_ONCE; the last may be shorter."""
    some: list[T] = []
    async with aclosing(found):
        async for each in found:
            some.append(each)
            if len(some) == DAYS_AT_ONCE:
                yield some
                some = []
    if some:
        yield some


def _parted(keys: Iterable[T]) -> Iterator[list[T]]:
    """A day may have discards of very many."""
    every = list(keys)
    for first in range(0, len(every), DAYS_AT_ONCE):
        yield every[first : first + DAYS_AT_ONCE]


def _minutes_of(day: int) -> range:
    return range(day // MINUTE, (day + DAY) // MINUTE)
