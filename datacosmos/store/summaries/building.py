"""Makes the summaries: where marks say so, and of what `older` marks."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import structlog

from datacosmos.domain.series import EARLIEST, LATEST, from_datetime, to_datetime
from datacosmos.domain.summaries import DAY, HOUR, MINUTE
from datacosmos.errors import Unavailable
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.lease import Lease
from datacosmos.store.summaries.kinds import DISCARDS, POINTS, Key, Kind, Rows, Span, kind_of
from datacosmos.store.summaries.older import mark_discards, mark_points
from datacosmos.store.summaries.parts import Summary
from datacosmos.store.summaries.summaries import Summaries, Times

log = structlog.stdlib.get_logger(__name__)
MOST_MARKS, AT_ONCE = 3000, 8
TOGETHER = 25
"""Days of series that are read and written by the same commands, but for their points: most have few."""
MOST_MINUTES = 500_000
"""That are built at once: in memory they take 40 MB."""
FORGET_EVERY = 3600  # seconds
T = TypeVar("T")


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
        for kind, marking in ((POINTS, mark_points), (DISCARDS, mark_discards)):
            parts = self._summaries.parts
            if await parts.are_complete(kind):
                continue
            async with aclosing(marking(self._summaries, await parts.reached(kind))) as days_marked:
                async for series, day in days_marked:
                    await self.build()
                    await parts.reach(kind, series, day)
                    await self._lease.take()
            await parts.complete(kind)

    async def _forget_deleted(self) -> None:
        """What a retention has deleted counts no longer, as `Summaries.discarded` tells: hours of it can go."""
        if time.monotonic() - self._forgot > FORGET_EVERY:
            oldest = await self._summaries.points.next_discard(to_datetime(EARLIEST))
            await self._summaries.parts.forget_before(DISCARDS, from_datetime(oldest) if oldest else LATEST)
            self._forgot = time.monotonic()

    async def build(self) -> int:
        """Bring the summaries up to the oldest marks, and remove these. Returns how many were.

        What failed is marked anew, behind all others: it keeps none of them from its turn.
        """
        settled, left = 0, MOST_MARKS
        while left > 0:
            marks, minutes = await self._oldest(left)
            again = await self._build_minutes(minutes)
            if marks:
                await self._summaries.marks.remove(marks)
            settled += max(len(marks) - again, 0)
            is_cut = sum(map(len, minutes.values())) >= MOST_MINUTES
            left = left - len(marks) if is_cut and not again else 0
        return settled

    async def _oldest(self, most: int) -> tuple[list[Any], Mapping[Span, set[int]]]:
        """The oldest marks, fewer than `most` where they tell of many minutes, and these."""
        marks, minutes, room = list[Any](), defaultdict[Span, set[int]](set), MOST_MINUTES
        async with aclosing(self._summaries.marks.oldest(most)) as oldest:
            async for mark in oldest:
                marks.append(mark.id)
                for key, some in mark.minutes.items():
                    for minute in some:
                        of_day = minutes[key, minute * MINUTE // DAY * DAY]
                        room -= minute not in of_day
                        of_day.add(minute)
                if room <= 0:
                    break
                await asyncio.sleep(0)  # many come at once
        return marks, minutes

    async def _build_minutes(self, minutes: Mapping[Span, set[int]]) -> int:
        """Returns how many marks tell of those that failed."""
        failed = defaultdict[Key, set[int]](set)
        for span in await _each(self._build_days, minutes):
            failed[span[0]] |= minutes[span]
        return await self._summaries.marks.add(failed)

    async def _build_days(self, kind: Kind, spans: Mapping[Span, set[int]]) -> None:
        """First the hours that these minutes of some days lie in, then the days themselves."""
        touched = {span: np.array(sorted(minutes)) * MINUTE for span, minutes in spans.items()}
        while not await self._build_hours(kind, touched):
            pass
        while not await self._build_from_hours(kind, touched):
            pass
        await self._lease.keep()

    async def _build_hours(self, kind: Kind, touched: Mapping[Span, Times]) -> bool:
        """Whether nobody else built one of them meanwhile."""
        parts = self._summaries.parts
        hours = {span: np.unique(minutes // HOUR * HOUR) for span, minutes in touched.items()}
        standing = await parts.get(
            kind.hours, [(key, hour) for (key, _), some in hours.items() for hour in some.tolist()]
        )
        built: dict[Span, tuple[Summary, Rows]] = {}
        for (key, day), minutes in touched.items():
            some = hours[key, day]
            for run in np.split(some, np.flatnonzero(np.diff(some) > HOUR) + 1):
                inside = minutes[(minutes >= run[0]) & (minutes < run[-1] + HOUR)]
                first, end = int(inside[0]), int(inside[-1]) + MINUTE
                fresh = await self._summaries.minutes(key, first, end - 1)
                for hour in run.tolist():
                    bounds = max(first, hour), min(end, hour + HOUR)
                    was, found = standing[key, hour], fresh[fresh["at"] // HOUR * HOUR == hour]
                    built[key, hour] = was, _replaced(was.parts, *bounds, found)
        return await parts.put(kind.hours, built)

    async def _build_from_hours(self, kind: Kind, touched: Mapping[Span, Times]) -> bool:
        parts = self._summaries.parts
        days = await parts.get(kind.days, touched)  # before their hours
        hours = {span: _hours_of(minutes) for span, minutes in touched.items()}
        standing = await parts.get(kind.hours, [(key, hour) for (key, _), some in hours.items() for hour in some])
        built: dict[Span, tuple[Summary, Rows]] = {}
        for (key, day), some in hours.items():
            rows = np.concatenate([kind.none, *[standing[key, hour].parts for hour in some]])
            fresh, was = kind.gathered(rows, rows["at"] // HOUR * HOUR), days[key, day]
            built[key, day] = was, _replaced(was.parts, some[0], some[-1] + HOUR, fresh)
        return await parts.put(kind.days, built)


def _hours_of(minutes: Times) -> range:
    """When the hours begin from the first of these minutes to the last."""
    return range(int(minutes[0]) // HOUR * HOUR, int(minutes[-1]) + MINUTE, HOUR)


def _replaced(parts: Rows, first: int, end: int, fresh: Rows) -> Rows:
    """The parts with those that begin in [first, end) as they are now."""
    return np.concatenate([parts[parts["at"] < first], fresh, parts[parts["at"] >= end]])


async def _each(work: Callable[[Kind, Mapping[Span, T]], Awaitable[None]], items: Mapping[Span, T]) -> set[Span]:
    """Some at once. Returns those that failed for a reason of their own; they keep no other from being built."""
    waiting, failed = deque(_grouped(items)), set[Span]()

    async def one_after_another() -> None:
        while waiting:
            spans = waiting.popleft()
            try:
                await work(kind_of(spans[0][0]), {span: items[span] for span in spans})
            except Unavailable:
                raise
            except Exception:
                if len(spans) > 1:
                    waiting.extend([span] for span in spans)
                    continue
                [(key, begin)] = spans
                log.exception("a summary can't be built", of=str(key), begin=to_datetime(begin).isoformat())
                failed.update(spans)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(one_after_another())
    except ExceptionGroup as group:  # each is Unavailable
        raise group.exceptions[0] from None
    return failed


def _grouped(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Of one kind each."""
    for kind in (POINTS, DISCARDS):
        some = [span for span in spans if kind_of(span[0]) is kind]
        for first in range(0, len(some), TOGETHER):
            yield some[first : first + TOGETHER]
