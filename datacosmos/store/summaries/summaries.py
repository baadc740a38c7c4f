"""What ranges of accepted points add up to, by their summaries, and by the points where these may be behind.

An answer holds every point that was acknowledged before the question, as `store.summaries.marks` tells.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain import summaries
from datacosmos.domain.points import Point
from datacosmos.domain.series import to_datetime
from datacosmos.domain.summaries import MINUTE, NO_PARTS, Parts
from datacosmos.errors import TooManyPoints
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.points import Points
from datacosmos.store.summaries.marks import Marks, minutes_of
from datacosmos.store.summaries.names import Names, sources_of
from datacosmos.store.summaries.parts import DAYS, HOURS, SummaryParts
from datacosmos.store.summaries.pieces import Pieces

MILLISECOND = 1000  # microseconds
MOST_POINTS = 5_000_000
"""Points that are read for one answer."""
MOST_READ = 200_000
"""Points that are rather read than their summaries, which are by the minute."""
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

    async def note(self, points: Sequence[Point]) -> None:
        """To be called once they are stored, and before that is acknowledged; also where they were stored before."""
        await self.names.add(sources_of(points))
        await self.marks.add(minutes_of(points))

    async def gathered(self, series: str, edges: Times, start: int, end: int) -> Parts:
        """What [start, end] adds up to between each two edges: shape (len(edges) - 1,), n 0 where it is empty.

        The edges are ascending, the first at or before `start`, the last after `end`. Raises TooManyPoints where more
        points than MOST_POINTS would have to be read, as summaries don't help.
        """
        behind = await self.marks.of(series) if await self.parts.are_complete() else None
        pieces = Pieces.of(edges, start // MILLISECOND * MILLISECOND, end // MILLISECOND * MILLISECOND, behind)
        async with aclosing(self._found(series, pieces)) as several:
            found = [summaries.by_bucket(parts, edges) async for parts in several]
        return summaries.into_buckets(np.concatenate([NO_PARTS, *found]), edges)

    async def count(self, series: str, start: int, end: int) -> int:
        """How many points [start, end] holds."""
        return int((await self.gathered(series, np.array([start, end + 1]), start, end))["n"][0])

    async def samples(self, series: str, start: int, end: int, width: int) -> Samples:
        """Points of [start, end] to draw a line through that is `width` pixels wide, as `domain.summaries` tells."""
        count = await self.count(series, start, end)
        spans = summaries.spans(start, end, width)
        if count > MOST_READ:
            spans[1:-1] = spans[1:-1] // MINUTE * MINUTE
            spans = np.unique(np.maximum(spans, start))
            return Samples(*summaries.extremes(await self.gathered(series, spans, start, end)), count, is_exact=False)
        is_exact = count <= 4 * width
        found = [NO_PARTS]
        async with aclosing(self.times_and_values(series, start, end)) as batches:
            async for t, v in batches:
                points = summaries.single(t, v)
                found.append(points if is_exact else summaries.by_bucket(points, spans))
        parts = np.concatenate(found)
        chosen = (parts["at"], parts["first"]) if is_exact else summaries.extremes(summaries.into_buckets(parts, spans))
        return Samples(*chosen, int(parts["n"].sum()), is_exact)

    async def _found(self, series: str, pieces: Pieces) -> AsyncGenerator[Parts]:
        if pieces.has_whole_hours:
            async with aclosing(self.parts.between(DAYS, series, pieces.start, pieces.end)) as found:
                async for parts in found:
                    yield parts[pieces.are_hours(parts["at"])]
        async with aclosing(self.parts.some(HOURS, series, pieces.hours.tolist())) as found:
            async for parts in found:
                yield parts[pieces.are_minutes(parts["at"])]
        room = MOST_POINTS
        for first, last in pieces.runs.tolist():
            async with aclosing(self.times_and_values(series, first, last)) as batches:
                async for t, v in batches:
                    room -= len(t)
                    if room < 0:
                        raise TooManyPoints(
                            f"more than {MOST_POINTS} points would have to be read; ask for a shorter range, or for an "
                            "interval of whole minutes"
                        )
                    yield summaries.single(t, v)

    async def times_and_values(
        self, series: str, start: int, end: int, *, freely: bool = False
    ) -> AsyncGenerator[tuple[Times, Values]]:
        """Of all accepted points of a range, in order, in batches, each in its turn among the lists unless `freely`."""
        window = Window(to_datetime(start), to_datetime(end))
        async with aclosing(self.points.columns(series, window, freely=freely)) as batches:
            async for columns in batches:
                yield columns.time * MILLISECOND, columns.value
