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

from datacosmos.store.mongo.connection import Database, Document, bounded, for_reads, store_errors
from datacosmos.store.summaries.kinds import DISCARDS, POINTS, Key, Kind, Level, Rows, to_key, to_stored

COLLECTION = "summaries"
AT_ONCE = 200  # documents: an hour of points has 6 kB at most


@dataclass(frozen=True, slots=True)
class Summary:
    """As it stands; version 0 stands nowhere yet."""

    version: int
    parts: Rows


class SummaryParts:
    """Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._reads = for_reads(database)[COLLECTION]
        self._complete: set[str] = set()

    async def are_complete(self, kind: Kind) -> bool:
        """Whether all of this kind is summarised or marked."""
        if kind.complete not in self._complete:
            with store_errors():
                found = await self._reads.find_one({"_id": kind.complete})
            self._complete |= {kind.complete} if found else set()
        return kind.complete in self._complete

    async def complete(self, kind: Kind) -> None:
        with store_errors(), bounded(self._collection.database):
            await self._collection.update_one({"_id": kind.complete}, {"$set": {}}, upsert=True)

    async def reached(self, kind: Kind) -> tuple[str, int] | None:
        """Series ("" for discards) and day that what earlier versions stored is summarised up to."""
        with store_errors():
            found = await self._reads.find_one({"_id": kind.reached})
        return (found["series"], found["day"]) if found else None

    async def reach(self, kind: Kind, series: str, day: int) -> None:
        with store_errors(), bounded(self._collection.database):
            change = {"$set": {"series": series, "day": day}}
            await self._collection.update_one({"_id": kind.reached}, change, upsert=True)

    async def get(self, level: Level, key: Key, begin: int) -> Summary:
        with store_errors():
            found = await self._reads.find_one({"_id": _id(level, key, begin)})
        return Summary(found["version"], _rows(level, [found])) if found else Summary(0, _rows(level, []))

    async def put(self, level: Level, key: Key, begin: int, was: Summary, parts: Rows) -> bool:
        """Whether it was still as it `was`; without parts, what stands nowhere need not be written."""
        if not was.version and not len(parts):
            return True
        document: Document = {"_id": _id(level, key, begin), "version": was.version + 1}
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

    async def between(self, level: Level, key: Key, start: int, end: int) -> AsyncGenerator[Rows]:
        """The rows of all documents from the one that holds `start` to the one that holds `end`, in order."""
        begins = {"$gte": _id(level, key, start), "$lte": _id(level, key, end)}
        with store_errors():
            async with self._reads.find({"_id": begins}, sort={"_id": 1}, batch_size=AT_ONCE) as cursor:
                while found := await cursor.to_list(AT_ONCE):
                    yield _rows(level, found)

    async def some(self, level: Level, key: Key, begins: Sequence[int]) -> AsyncGenerator[Rows]:
        """As above, of the documents that begin then."""
        for first in range(0, len(begins), AT_ONCE):
            ids = [_id(level, key, begin) for begin in begins[first : first + AT_ONCE]]
            with store_errors():
                yield _rows(level, await self._reads.find({"_id": {"$in": ids}}, sort={"_id": 1}).to_list())

    async def days(self) -> AsyncGenerator[tuple[Key, int]]:
        """Of what there are hours, of which days."""
        for kind in (POINTS, DISCARDS):
            with store_errors():
                async with self._reads.find({"_id": _of(kind.days)}, {"_id": 1}, sort={"_id": 1}) as cursor:
                    async for found in cursor:
                        yield to_key(found["_id"]["series"]), found["_id"]["begin"]

    async def forget_before(self, kind: Kind, time: int) -> None:
        """Delete what ends before that, of this kind."""
        for level in (kind.hours, kind.days):
            ended = {"_id": _of(level), "_id.begin": {"$lte": time - level.size}}
            with store_errors(), bounded(self._collection.database):
                await self._collection.delete_many(ended)


def _id(level: Level, key: Key, time: int) -> Document:
    return {"level": level.name, "series": to_stored(key), "begin": time // level.size * level.size}


def _of(level: Level) -> Document:
    return {"$gte": {"level": level.name}, "$lt": {"level": level.name + "\0"}}


def _rows(level: Level, documents: Sequence[Document]) -> Rows:
    return np.concatenate([np.empty(0, level.row), *(np.frombuffer(each["parts"], level.row) for each in documents)])
