"""What ranges of accepted points and of discards add up to: by summaries, and by points where these may be behind.

An answer holds every point that was acknowledged before the question, as `store.summaries.marks` tells.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain import discards, summaries
from datacosmos.domain.discards import COUNT, NO_COUNTS, Counts
from datacosmos.domain.points import Point
from datacosmos.domain.series import from_datetime, to_datetime
from datacosmos.domain.summaries import MINUTE, NO_PARTS, Parts
from datacosmos.errors import TooManyPoints
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.points import Points
from datacosmos.store.summaries.kinds import DISCARDS, POINTS, DiscardsOf, Key, Rows, kind_of
from datacosmos.store.summaries.marks import Marks, minutes_of
from datacosmos.store.summaries.names import Names, sources_of
from datacosmos.store.summaries.parts import SummaryParts
from datacosmos.store.summaries.pieces import Pieces

MILLISECOND = 1000  # microseconds
MOST_POINTS = 5_000_000
"""Points that are read for one answer."""
MOST_READ = 20_000
"""Points that are rather read than their summaries, which are by the minute; what is given whole is never more."""
WIDE, NARROW = 4 * MINUTE, 10
"""Of spans narrower than that, in which half a minute can be seen, so many times as many points are read."""
AT_ONCE = 500
"""Runs of points that MongoDB is asked for in one command: planning one takes as long as reading a hundred points."""
Times = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """Times and values of the chosen points, in order of time, and how many there are of them all."""

    t: Times
    v: Values
    count: int
    is_exact: bool


class Summaries:
    """Every method raises StoreUnavailable while MongoDB is unavailable. Times are microseconds since the epoch."""

    def __init__(self, database: Database, points: Points) -> None:
        self.names = Names(database)
        self.marks = Marks(database)
        self.points = points
        self.parts = SummaryParts(database)

    async def prepare(self) -> None:
        await self.marks.prepare()

    async def note(self, stored: Sequence[Point], redelivered: Sequence[Point] = ()) -> None:
        """To be called before what is stored is acknowledged: points as stored, and those that were there already."""
        await self.names.add(sources_of([*stored, *redelivered]))
        await self.marks.add(minutes_of(stored, redelivered))

    async def gathered(self, series: str, edges: Times, start: int, end: int, *, summed: bool = True) -> Parts:
        """What [start, end] adds up to between each two edges: shape (len(edges) - 1,), n 0 where it is empty.

        The edges are ascending, the first at or before `start`, the last after `end`. Raises TooManyPoints where more
        points than MOST_POINTS would have to be read, as summaries don't help.
        """
        behind = await self.marks.of(series) if await self.parts.are_complete(POINTS) else None
        pieces = Pieces.of(edges, *_whole_milliseconds(start, end), behind)
        async with aclosing(self._found(series, pieces)) as several:
            found = [summaries.by_bucket(parts, edges, summed=summed) async for parts in several]
        return summaries.into_buckets(np.concatenate([NO_PARTS, *found]), edges, summed=summed)

    async def discarded(self, source: str | None, series: str | None, edges: Times, start: int, end: int) -> Counts:
        """How many discards of each reason [start, end] has between each two edges, by when they were received.

        None is all of them. `at` of the counts is the number of the two edges; else all is as above.
        """
        sources = await self.points.sources() if source is None else [source]
        found = [await self._discarded(DiscardsOf(each, series), edges, start, end) for each in sources]
        counts = np.concatenate([NO_COUNTS, *found])
        return discards.gathered(counts, counts["at"])

    async def _discarded(self, key: DiscardsOf, edges: Times, start: int, end: int) -> Counts:
        oldest = await self.points.oldest_discard(key.source, key.series)
        if oldest is None:
            return NO_COUNTS
        # A retention deletes the oldest first: all before this minute is gone, whatever its summaries say, and perhaps
        # a part of it. One that comes so late that others of its age are gone shows their counts until it goes itself.
        minute = from_datetime(oldest) // MINUTE
        start, end = _whole_milliseconds(max(start, minute * MINUTE), end)
        behind = None
        if await self.parts.are_complete(DISCARDS):
            behind = np.append(await self.marks.of(key), minute)
        if start > end:
            return NO_COUNTS
        async with aclosing(self._found(key, Pieces.of(edges, start, end, behind))) as several:
            found = [discards.by_bucket(counts, edges) async for counts in several]
        return np.concatenate([NO_COUNTS, *found])

    async def count(self, series: str, start: int, end: int) -> int:
        """How many points [start, end] holds."""
        return int((await self.gathered(series, np.array([start, end + 1]), start, end, summed=False))["n"][0])

    async def samples(self, series: str, start: int, end: int, width: int) -> Samples:
        """Points of [start, end] to draw a line through that is `width` pixels wide, as `domain.summaries` tells."""
        spans = summaries.spans(start, end, width)
        whole = np.clip((spans + MINUTE // 2) // MINUTE * MINUTE, start, end + 1)
        whole[0], whole[-1] = start, end + 1
        is_wide = (end - start) // width >= WIDE
        # Narrow spans are few minutes: counting what they hold is cheaper than to sum it up for nothing.
        edges = np.unique(whole) if is_wide else np.array([start, end + 1])
        parts = await self.gathered(series, edges, start, end, summed=False)
        count = int(parts["n"].sum())
        if count > (MOST_READ if is_wide else NARROW * MOST_READ):
            if not is_wide:
                parts = await self.gathered(series, np.unique(whole), start, end, summed=False)
            return Samples(*summaries.extremes(parts), count, is_exact=False)
        is_exact = count <= 4 * width
        found = [NO_PARTS]
        async with aclosing(self.times_and_values(series, start, end)) as batches:
            async for t, v in batches:
                points = summaries.single(t, v)
                found.append(points if is_exact else summaries.by_bucket(points, spans, summed=False))
        parts = np.concatenate(found)
        chosen = parts["at"], parts["first"]
        if not is_exact:
            chosen = summaries.extremes(summaries.into_buckets(parts, spans, summed=False))
        return Samples(*chosen, int(parts["n"].sum()), is_exact)

    async def _found(self, key: Key, pieces: Pieces) -> AsyncGenerator[Rows]:
        kind = kind_of(key)
        if pieces.has_whole_hours:
            async with aclosing(self.parts.between(kind.days, key, pieces.start, pieces.end)) as found:
                async for parts in found:
                    yield _chosen(parts, pieces.are_hours(parts["at"]))
        async with aclosing(self.parts.some(kind.hours, key, pieces.hours.tolist())) as found:
            async for parts in found:
                yield _chosen(parts, pieces.are_minutes(parts["at"]))
        room = MOST_POINTS
        for first in range(0, len(pieces.runs), AT_ONCE):
            async with aclosing(self.rows(key, pieces.runs[first : first + AT_ONCE])) as batches:
                async for rows in batches:
                    room -= len(rows)
                    if room < 0:
                        raise TooManyPoints(
                            f"more than {MOST_POINTS} points would have to be read; ask for a shorter range, or for an "
                            "interval of whole minutes"
                        )
                    yield rows

    async def minutes(self, key: Key, start: int, end: int) -> Rows:
        """What the points of [start, end] themselves add up to, by the minute."""
        kind = kind_of(key)
        async with aclosing(self.rows(key, np.array([[start, end]]), freely=True)) as batches:
            several = [kind.gathered(rows, rows["at"] // MINUTE * MINUTE) async for rows in batches]
        found = np.concatenate([kind.none, *several])
        return kind.gathered(found, found["at"])

    async def rows(self, key: Key, runs: Times, *, freely: bool = False) -> AsyncGenerator[Rows]:
        """A part for each point, or a count for each moment and reason, each batch in its turn unless `freely`.

        `runs` are as `Pieces` has them.
        """
        windows = [Window(to_datetime(first), to_datetime(last)) for first, last in runs.tolist()]
        if isinstance(key, str):
            async with aclosing(self.points.columns(key, windows, freely=freely)) as batches:
                async for columns in batches:
                    yield summaries.single(columns.time * MILLISECOND, columns.value)
        else:
            found = self.points.discard_counts(key.source, key.series, windows, freely=freely)
            async with aclosing(found) as pages:
                async for page in pages:
                    yield np.array(page, COUNT)

    async def times_and_values(self, series: str, start: int, end: int) -> AsyncGenerator[tuple[Times, Values]]:
        """Of all accepted points of a range, in order, in batches, each in its turn among the lists."""
        window = Window(to_datetime(start), to_datetime(end))
        async with aclosing(self.points.columns(series, [window])) as batches:
            async for columns in batches:
                yield columns.time * MILLISECOND, columns.value


def _chosen(rows: Rows, are_chosen: NDArray[np.bool_]) -> Rows:
    """Without a copy where that is all of them."""
    return rows if are_chosen.all() else rows[are_chosen]


def _whole_milliseconds(start: int, end: int) -> tuple[int, int]:
    """As MongoDB keeps times."""
    return start // MILLISECOND * MILLISECOND, end // MILLISECOND * MILLISECOND
