"""Collection `summaries`: a document for each hour of a series with a part for each of its minutes, and one for each
day with a part for each of its hours; minutes and hours without points have none.

`version` changes with each write, and a write goes through only where it is still the one that was read before what
the new parts were made from. So of two who make the same summary, one that has read older points never wins.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import numpy as np
from bson import Binary
from pymongo.errors import DuplicateKeyError

from datacosmos.domain.summaries import DAY, HOUR, MINUTE, NO_PARTS, PART, Parts
from datacosmos.store.mongo.connection import Database, Document, bounded, for_reads, store_errors

COLLECTION, COMPLETE, REACHED = "summaries", "complete", "reached"
AT_ONCE = 200  # documents: an hour has 6 kB at most


@dataclass(frozen=True, slots=True)
class Level:
    """A document spans `size` microseconds, each of its parts `part`."""

    name: str
    size: int
    part: int


HOURS, DAYS = Level("hour", HOUR, MINUTE), Level("day", DAY, HOUR)


@dataclass(frozen=True, slots=True)
class Summary:
    """As it stands; version 0 stands nowhere yet."""

    version: int
    parts: Parts


class SummaryParts:
    """Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._reads = for_reads(database)[COLLECTION]
        self._are_complete = False

    async def are_complete(self) -> bool:
        """Whether every point is summarised or marked."""
        if not self._are_complete:
            with store_errors():
                self._are_complete = await self._reads.find_one({"_id": COMPLETE}) is not None
        return self._are_complete

    async def complete(self) -> None:
        with store_errors(), bounded(self._collection.database):
            await self._collection.update_one({"_id": COMPLETE}, {"$set": {}}, upsert=True)

    async def reached(self) -> tuple[str, int] | None:
        """Series and day that points of earlier versions are summarised up to."""
        with store_errors():
            found = await self._reads.find_one({"_id": REACHED})
        return (found["series"], found["day"]) if found else None

    async def reach(self, series: str, day: int) -> None:
        with store_errors(), bounded(self._collection.database):
            change = {"$set": {"series": series, "day": day}}
            await self._collection.update_one({"_id": REACHED}, change, upsert=True)

    async def get(self, level: Level, series: str, begin: int) -> Summary:
        with store_errors():
            found = await self._reads.find_one({"_id": _id(level, series, begin)})
        return Summary(found["version"], parts_of(found)) if found else Summary(0, NO_PARTS)

    async def put(self, level: Level, series: str, begin: int, was: Summary, parts: Parts) -> bool:
        """Whether it was still as it `was`."""
        document: Document = {"_id": _id(level, series, begin), "version": was.version + 1}
        document["parts"] = Binary(parts.tobytes())
        with store_errors(), bounded(self._collection.database):
            if was.version:
                replaced = await self._collection.replace_one(
                    {"_id": document["_id"], "version": was.version}, document
                )
                return replaced.matched_count == 1
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    async def between(self, level: Level, series: str, start: int, end: int) -> AsyncGenerator[Parts]:
        """The parts of all documents from the one that holds `start` to the one that holds `end`, in order."""
        begins = {"$gte": _id(level, series, start), "$lte": _id(level, series, end)}
        with store_errors():
            async with self._reads.find({"_id": begins}, sort={"_id": 1}, batch_size=AT_ONCE) as cursor:
                while found := await cursor.to_list(AT_ONCE):
                    yield np.concatenate([parts_of(document) for document in found])

    async def some(self, level: Level, series: str, begins: Sequence[int]) -> AsyncGenerator[Parts]:
        """As above, of the documents that begin then."""
        for first in range(0, len(begins), AT_ONCE):
            ids = [_id(level, series, begin) for begin in begins[first : first + AT_ONCE]]
            with store_errors():
                found = await self._reads.find({"_id": {"$in": ids}}, sort={"_id": 1}).to_list()
            yield np.concatenate([NO_PARTS, *(parts_of(document) for document in found)])


def _id(level: Level, series: str, time: int) -> Document:
    return {"level": level.name, "series": series, "begin": time // level.size * level.size}


def parts_of(document: Document) -> Parts:
    return np.frombuffer(document["parts"], PART)
