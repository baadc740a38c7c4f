"""Makes the summaries: where marks say so, and of all that earlier versions stored without marks."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import timedelta

import numpy as np
import structlog

from datacosmos.domain.series import EARLIEST, LATEST, from_datetime, to_datetime
from datacosmos.domain.summaries import DAY, HOUR, MINUTE
from datacosmos.errors import Unavailable
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.lease import Lease
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.points import Points
from datacosmos.store.summaries.kinds import DISCARDS, POINTS, DiscardsOf, Key, Rows, kind_of
from datacosmos.store.summaries.marks import Mark
from datacosmos.store.summaries.parts import Summary
from datacosmos.store.summaries.summaries import Summaries, Times

log = structlog.stdlib.get_logger(__name__)
MOST_MARKS, AT_ONCE, DAYS_AT_ONCE = 1000, 8, 100
FORGET_EVERY = 3600  # seconds
Span = tuple[Key, int]
"""What is summed up, and when a day of it begins."""


class Builder:
    """One of any number; every method may be cut short at any moment. Each raises StoreUnavailable."""

    def __init__(self, database: Database, summaries: Summaries) -> None:
        self._summaries = summaries
        self._lease = Lease(database, "summaries", timedelta(minutes=1))
        self._forgot = -FORGET_EVERY

    async def catch_up(self) -> int | None:
        """Build until little is marked. Returns how many marks were settled; None where another is at it."""
        settled = None
        while await self._lease.take():
            await self.build_older()
            built = await self.build()
            settled = (settled or 0) + built
            if built < MOST_MARKS:
                await self._forget_deleted()
                break
        return settled

    async def build_older(self) -> None:
        """What earlier versions stored has no marks: mark and build it, some days at a time, where that is not done."""
        for kind, marked in ((POINTS, self._mark_points), (DISCARDS, self._mark_discards)):
            parts = self._summaries.parts
            if await parts.are_complete(kind):
                continue
            async with aclosing(marked(await parts.reached(kind))) as days_marked:
                number = 0
                async for series, day in days_marked:
                    number += 1
                    if number % DAYS_AT_ONCE == 0:
                        await self.build()
                        await parts.reach(kind, series, day)
                        await self._lease.take()
            await parts.complete(kind)

    async def _mark_points(self, reached: tuple[str, int] | None) -> AsyncGenerator[tuple[str, int]]:
        async with aclosing(days(self._summaries.points, reached)) as found:
            async for series, source, day in found:
                await self._summaries.names.add([(series, source)])
                await self._summaries.marks.add({series: _minutes_of(day)})
                yield series, day

    async def _mark_discards(self, reached: tuple[str, int] | None) -> AsyncGenerator[tuple[str, int]]:
        async with aclosing(days_of_discards(self._summaries.points, reached[1] if reached else None)) as found:
            async for day, keys in found:
                await self._summaries.marks.add({key: _minutes_of(day) for key in keys})
                yield "", day

    async def _forget_deleted(self) -> None:
        """What a retention has deleted counts no longer, as `Summaries.discarded` tells: hours of it can go."""
        if time.monotonic() - self._forgot > FORGET_EVERY:
            oldest = await self._summaries.points.next_discard(to_datetime(EARLIEST))
            await self._summaries.parts.forget_before(DISCARDS, from_datetime(oldest) if oldest else LATEST)
            self._forgot = time.monotonic()

    async def build(self) -> int:
        """Bring the summaries up to the oldest marks, and remove these. Returns how many were."""
        marks = await self._summaries.marks.oldest(MOST_MARKS)
        minutes: dict[Span, set[int]] = defaultdict(set)
        for mark in marks:
            for key, some in mark.minutes.items():
                for minute in some:
                    minutes[key, minute * MINUTE // DAY * DAY].add(minute * MINUTE)
        behind = await _each(self._build_day, minutes)
        settled = [mark for mark in marks if not behind or behind.isdisjoint(_days_of(mark))]
        if settled:
            await self._summaries.marks.remove(settled)
        return len(settled)

    async def _build_day(self, key: Key, day: int, minutes: Iterable[int]) -> None:
        """First the hours that these minutes lie in, then the day itself."""
        touched = np.array(sorted(minutes))
        while not await self._build_hours(key, touched):
            pass
        while not await self._build_from_hours(key, day, touched):
            pass

    async def _build_hours(self, key: Key, minutes: Times) -> bool:
        """Whether nobody else built one of them meanwhile."""
        parts, level = self._summaries.parts, kind_of(key).hours
        hours = np.unique(minutes // HOUR * HOUR)
        standing = await parts.get(level, key, hours.tolist())
        built: dict[int, tuple[Summary, Rows]] = {}
        for run in np.split(hours, np.flatnonzero(np.diff(hours) > HOUR) + 1):
            inside = minutes[(minutes >= run[0]) & (minutes < run[-1] + HOUR)]
            first, end = int(inside[0]), int(inside[-1]) + MINUTE
            fresh = await self._summaries.minutes(key, first, end - 1)
            for hour in run.tolist():
                bounds = max(first, hour), min(end, hour + HOUR)
                was, found = standing[hour], fresh[fresh["at"] // HOUR * HOUR == hour]
                built[hour] = was, _replaced(was.parts, *bounds, found)
        return await parts.put(level, key, built)

    async def _build_from_hours(self, key: Key, day: int, minutes: Times) -> bool:
        parts, kind = self._summaries.parts, kind_of(key)
        first, end = int(minutes[0]) // HOUR * HOUR, int(minutes[-1]) // HOUR * HOUR + HOUR
        was = (await parts.get(kind.days, key, [day]))[day]
        async with aclosing(parts.between(kind.hours, key, first, end - 1)) as found:
            several = np.concatenate([kind.none, *[rows async for rows in found]])
        fresh = kind.gathered(several, several["at"] // HOUR * HOUR)
        return await parts.put(kind.days, key, {day: (was, _replaced(was.parts, first, end, fresh))})


def _replaced(parts: Rows, first: int, end: int, fresh: Rows) -> Rows:
    """The parts with those that begin in [first, end) as they are now."""
    return np.concatenate([parts[parts["at"] < first], fresh, parts[parts["at"] >= end]])


def _minutes_of(day: int) -> range:
    return range(day // MINUTE, (day + DAY) // MINUTE)


def _days_of(mark: Mark) -> set[Span]:
    return {(key, minute * MINUTE // DAY * DAY) for key, minutes in mark.minutes.items() for minute in minutes}


async def _each(work: Callable[[Key, int, set[int]], Awaitable[None]], items: Mapping[Span, set[int]]) -> set[Span]:
    """Some at once. Returns those that failed for a reason of their own; they keep no other from being built."""
    waiting, failed = iter(items.items()), set[Span]()

    async def one_after_another() -> None:
        for (key, begin), parts in waiting:
            try:
                await work(key, begin, parts)
            except Unavailable:
                raise
            except Exception:
                log.exception("a summary can't be built", of=str(key), begin=to_datetime(begin).isoformat())
                failed.add((key, begin))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(one_after_another())
    except ExceptionGroup as group:  # each is Unavailable
        raise group.exceptions[0] from None
    return failed


async def days(points: Points, after: tuple[str, int] | None = None) -> AsyncGenerator[tuple[str, str, int]]:
    """Series, source, and the beginning of each day that has accepted points, by series and day, after one of them."""
    found = await (points.next(after[0], to_datetime(after[1] + DAY)) if after else points.next(""))
    while found:
        series, source, time = found
        day = from_datetime(time) // DAY * DAY
        yield series, source, day
        found = await points.next(series, to_datetime(day + DAY))


async def days_of_discards(points: Points, after: int | None = None) -> AsyncGenerator[tuple[int, set[DiscardsOf]]]:
    """The beginning of each day that has discards, after one of them, and of what it has them."""
    at = await points.next_discard(to_datetime(EARLIEST if after is None else after + DAY))
    while at:
        day = from_datetime(at) // DAY * DAY
        found = await points.discarded_keys(Window(to_datetime(day), to_datetime(day + DAY - 1)))
        yield day, {DiscardsOf(source, some) for source, series in found for some in (None, series)}
        at = await points.next_discard(to_datetime(day + DAY))
