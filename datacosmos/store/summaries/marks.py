"""Collection `marks`: which minutes of which series have points, or discards, that no summary is known to hold.

A mark is written after the points and before the message is acknowledged, also where they were there already; and it is
removed after summaries of its minutes, made from points read later than the mark, are stored. Whoever reads the marks
first, then the summaries, and the points themselves of what is marked, so misses no point that was acknowledged before.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo.errors import BulkWriteError

from datacosmos.domain.points import Point
from datacosmos.domain.series import EPOCH
from datacosmos.store.mongo.connection import (
    UTC_TIMES,
    Database,
    Document,
    bounded,
    check_passing,
    for_reads,
    read_errors,
    store_errors,
)
from datacosmos.store.mongo.finding import Finder
from datacosmos.store.summaries.kinds import DiscardsOf, Key, to_key, to_stored

COLLECTION = "marks"
AT_ONCE = 1000
MOST_MINUTES = 50_000
"""Of one mark: a document has 16 MiB at most."""
MOST_KEYS = 100
"""Of one mark: whoever asks for one key reads all of a mark that has it."""
Minutes = NDArray[np.int64]
A_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Mark:
    """The minutes, numbered from the epoch, in which one batch has points or discards."""

    id: Any
    minutes: Mapping[Key, Sequence[int]]


class Marks:
    """Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._reads = for_reads(database)[COLLECTION]
        self._finder = Finder(database, COLLECTION)

    async def prepare(self) -> None:
        with store_errors():
            await self._collection.create_index("touched.series", name="series")

    async def add(self, minutes: Mapping[Key, Iterable[int]]) -> int:
        """Minutes numbered from the epoch. Returns how many marks tell of them."""
        marks = [
            {"touched": touched} for touched in _parted((to_stored(key), sorted(some)) for key, some in minutes.items())
        ]
        if not marks:
            return 0
        with store_errors(), bounded(self._collection.database):
            try:
                await self._collection.insert_many(marks, ordered=False)
            except BulkWriteError as error:
                check_passing(error.details)
                raise
        return len(marks)

    async def of(self, key: Key) -> Minutes:
        """The marked minutes of one key, ascending."""
        series = to_stored(key)
        command = {
            "find": COLLECTION,
            "filter": {"touched.series": series},
            "projection": {"touched": {"$elemMatch": {"series": series}}, "_id": 0},
            "batchSize": AT_ONCE,
        }
        minutes: set[int] = set()
        async with aclosing(self._finder.batches(command, freely=True)) as batches:
            async for batch in batches:
                minutes.update(*(mark["touched"][0]["minutes"] for mark in batch.whole()))
        return np.array(sorted(minutes), np.int64)

    async def oldest(self, most: int) -> AsyncGenerator[Mark]:
        """By and by: together they may be large."""
        with read_errors():
            async with self._reads.with_options(UTC_TIMES).find(sort={"_id": 1}, limit=most) as cursor:
                async for each in cursor:
                    yield Mark(each["_id"], {to_key(one["series"]): one["minutes"] for one in each["touched"]})

    async def remove(self, identifiers: Sequence[Any]) -> None:
        with store_errors(), bounded(self._collection.database):
            await self._collection.delete_many({"_id": {"$in": identifiers}})


def _parted(touched: Iterable[tuple[str | Document, list[int]]]) -> Iterator[list[Document]]:
    """In lists for a document each; one key may be in several."""
    some, room = list[Document](), MOST_MINUTES
    for series, minutes in touched:
        left = minutes
        while left:
            part, left = left[:room], left[room:]
            some.append({"series": series, "minutes": part})
            room -= len(part)
            if room == 0 or len(some) == MOST_KEYS:
                yield some
                some, room = [], MOST_MINUTES
    if some:
        yield some


def minutes_of(stored: Iterable[Point], redelivered: Iterable[Point] = ()) -> dict[Key, set[int]]:
    """In which minutes accepted points lie, and discards were received.

    What was there already was perhaps stored under another verdict than it comes with now.
    """
    minutes: dict[Key, set[int]] = defaultdict(set)
    for points, may_be_discards in ((stored, False), (redelivered, True)):
        for point in points:
            reading, reasons = point.reading, point.verdict.reasons
            if not reasons and reading.series is not None and reading.time is not None:
                minutes[reading.series].add((reading.time - EPOCH) // A_MINUTE)
            if reasons or may_be_discards:
                received = (point.received_at - EPOCH) // A_MINUTE
                for series in {None, reading.series}:
                    minutes[DiscardsOf(reading.source, series)].add(received)
    return minutes
