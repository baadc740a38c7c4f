"""Makes the summaries: where marks say so, and of all that earlier versions stored without marks."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import timedelta

import numpy as np
import structlog

from datacosmos.domain import summaries
from datacosmos.domain.series import from_datetime, to_datetime
from datacosmos.domain.summaries import DAY, HOUR, MINUTE, NO_PARTS, Parts
from datacosmos.errors import Unavailable
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.lease import Lease
from datacosmos.store.points.points import Points
from datacosmos.store.summaries.marks import Mark
from datacosmos.store.summaries.parts import DAYS, HOURS
from datacosmos.store.summaries.summaries import Summaries

log = structlog.stdlib.get_logger(__name__)
MOST_MARKS, AT_ONCE, DAYS_AT_ONCE = 1000, 8, 100
Span = tuple[str, int]
"""A series, and when an hour or day of it begins."""


class Builder:
    """One of any number; every method may be cut short at any moment. Each raises StoreUnavailable."""

    def __init__(self, database: Database, summaries: Summaries) -> None:
        self._summaries = summaries
        self._lease = Lease(database, "summaries", timedelta(minutes=1))

    async def catch_up(self) -> int | None:
        """Build until little is marked. Returns how many marks were settled; None where another is at it."""
        settled = None
        while await self._lease.take():
            await self.build_older()
            built = await self.build()
            settled = (settled or 0) + built
            if built < MOST_MARKS:
                break
        return settled

    async def build_older(self) -> None:
        """What earlier versions stored has no marks: mark and build it, some days at a time, where that is not done."""
        parts = self._summaries.parts
        if await parts.are_complete():
            return
        async with aclosing(days(self._summaries.points, await parts.reached())) as found:
            marked = 0
            async for series, source, day in found:
                await self._summaries.names.add([(series, source)])
                await self._summaries.marks.add({series: range(day // MINUTE, (day + DAY) // MINUTE)})
                marked += 1
                if marked % DAYS_AT_ONCE == 0:
                    await self.build()
                    await parts.reach(series, day)
                    await self._lease.take()
        await parts.complete()

    async def build(self) -> int:
        """Bring the summaries up to the oldest marks, and remove these. Returns how many were."""
        marks = await self._summaries.marks.oldest(MOST_MARKS)
        minutes: dict[Span, set[int]] = defaultdict(set)
        for mark in marks:
            for series, some in mark.minutes.items():
                for minute in some:
                    minutes[series, minute * MINUTE // HOUR * HOUR].add(minute * MINUTE)
        failed = await _each(self._build_hour, minutes)
        hours: dict[Span, set[int]] = defaultdict(set)
        for series, hour in minutes:
            hours[series, hour // DAY * DAY].add(hour)
        failed |= await _each(self._build_day, hours)
        behind = {(series, begin // DAY * DAY) for series, begin in failed}
        settled = [mark for mark in marks if not behind or behind.isdisjoint(_days_of(mark))]
        if settled:
            await self._summaries.marks.remove(settled)
        return len(settled)

    async def _build_hour(self, series: str, hour: int, minutes: Iterable[int]) -> None:
        first, end = min(minutes), max(minutes) + MINUTE
        while True:
            standing = await self._summaries.parts.get(HOURS, series, hour)
            async with aclosing(self._summaries.times_and_values(series, first, end - 1, freely=True)) as batches:
                found = [summaries.summarise(t, v, MINUTE) async for t, v in batches]
            minutes_of_batches = np.concatenate([NO_PARTS, *found])
            fresh = summaries.gathered(minutes_of_batches, minutes_of_batches["at"])
            if await self._summaries.parts.put(
                HOURS, series, hour, standing, _replaced(standing.parts, first, end, fresh)
            ):
                return

    async def _build_day(self, series: str, day: int, hours: Iterable[int]) -> None:
        first, end = min(hours), max(hours) + HOUR
        while True:
            standing = await self._summaries.parts.get(DAYS, series, day)
            async with aclosing(self._summaries.parts.between(HOURS, series, first, end - 1)) as found:
                minutes = np.concatenate([NO_PARTS, *[parts async for parts in found]])
            fresh = summaries.gathered(minutes, minutes["at"] // HOUR * HOUR)
            if await self._summaries.parts.put(
                DAYS, series, day, standing, _replaced(standing.parts, first, end, fresh)
            ):
                return


def _replaced(parts: Parts, first: int, end: int, fresh: Parts) -> Parts:
    """The parts with those that begin in [first, end) as they are now."""
    return np.concatenate([parts[parts["at"] < first], fresh, parts[parts["at"] >= end]])


def _days_of(mark: Mark) -> set[Span]:
    return {(series, minute * MINUTE // DAY * DAY) for series, minutes in mark.minutes.items() for minute in minutes}


async def _each(work: Callable[[str, int, set[int]], Awaitable[None]], items: Mapping[Span, set[int]]) -> set[Span]:
    """Some at once. Returns those that failed for a reason of their own; they keep no other from being built."""
    waiting, failed = iter(items.items()), set[Span]()

    async def one_after_another() -> None:
        for (series, begin), parts in waiting:
            try:
                await work(series, begin, parts)
            except Unavailable:
                raise
            except Exception:
                log.exception("a summary can't be built", series=series, begin=to_datetime(begin).isoformat())
                failed.add((series, begin))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(one_after_another())
    except ExceptionGroup as group:  # each is Unavailable
        raise group.exceptions[0] from None
    return failed


async def days(points: Points, after: Span | None = None) -> AsyncGenerator[tuple[str, str, int]]:
    """Series, source, and the beginning of each day that has accepted points, by series and day, after one of them."""
    found = await (points.next(after[0], to_datetime(after[1] + DAY)) if after else points.next(""))
    while found:
        series, source, time = found
        day = from_datetime(time) // DAY * DAY
        yield series, source, day
        found = await points.next(series, to_datetime(day + DAY))
