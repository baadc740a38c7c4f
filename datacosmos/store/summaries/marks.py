"""Collection `marks`: which minutes of which series have points that no summary is known to hold.

A mark is written after the points and before the message is acknowledged, also where they were there already; and it is
removed after summaries of its minutes, made from points read later than the mark, are stored. Whoever reads the marks
first, then the summaries, and the points themselves of what is marked, so misses no point that was acknowledged before.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain.points import Point
from datacosmos.domain.series import from_datetime
from datacosmos.domain.summaries import MINUTE
from datacosmos.store.mongo.connection import UTC_TIMES, Database, bounded, for_reads, store_errors

COLLECTION = "marks"
Minutes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mark:
    """The minutes, numbered from the epoch, in which one batch has points, by series."""

    id: Any
    minutes: Mapping[str, Sequence[int]]


class Marks:
    """Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._reads = for_reads(database)[COLLECTION]

    async def prepare(self) -> None:
        with store_errors():
            await self._collection.create_index("touched.series", name="series")

    async def add(self, minutes: Mapping[str, Iterable[int]]) -> None:
        """One mark for all of them, minutes numbered from the epoch by series."""
        touched = [{"series": series, "minutes": sorted(some)} for series, some in minutes.items()]
        if touched:
            with store_errors(), bounded(self._collection.database):
                await self._collection.insert_one({"touched": touched})

    async def of(self, series: str) -> Minutes:
        """The marked minutes of one series, ascending."""
        only = {"touched": {"$elemMatch": {"series": series}}, "_id": 0}
        with store_errors():
            found = await self._reads.find({"touched.series": series}, only).to_list()
        return np.unique(np.array([minute for mark in found for minute in mark["touched"][0]["minutes"]], np.int64))

    async def oldest(self, most: int) -> list[Mark]:
        with store_errors():
            found = await self._reads.with_options(UTC_TIMES).find(sort={"_id": 1}, limit=most).to_list()
        return [Mark(mark["_id"], {each["series"]: each["minutes"] for each in mark["touched"]}) for mark in found]

    async def remove(self, marks: Iterable[Mark]) -> None:
        with store_errors(), bounded(self._collection.database):
            await self._collection.delete_many({"_id": {"$in": [mark.id for mark in marks]}})


def minutes_of(points: Iterable[Point]) -> dict[str, set[int]]:
    """In which minutes the accepted points lie, by series."""
    minutes: dict[str, set[int]] = defaultdict(set)
    for point in points:
        reading = point.reading
        if not point.verdict.reasons and reading.series is not None and reading.time is not None:
            minutes[reading.series].add(from_datetime(reading.time) // MINUTE)
    return minutes
