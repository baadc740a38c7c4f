"""Collection `summaries`: a document for each hour of a series with a part for each of its minutes, and one for each
day with a part for each of its hours; minutes and hours without points have none.

`version` changes with each write, and a write goes through only where it is still the one that was read before what
the new parts were made from. So of two who make the same summary, one that has read older points never wins.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from bson import Binary
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from datacosmos.store.mongo.connection import (
    Database,
    Document,
    bounded,
    check_passing,
    for_reads,
    read_errors,
    store_errors,
)
from datacosmos.store.mongo.finding import Finder
from datacosmos.store.summaries.kinds import DISCARDS, POINTS, Key, Kind, Level, Rows, Span, to_key, to_stored

COLLECTION = "summaries"
DUPLICATE_KEY = 11000
AT_ONCE = 1000  # documents: an hour of points has 6 kB at most
BATCH_BYTES = 4 << 20


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
        self._finder = Finder(database, COLLECTION, BATCH_BYTES)
        self._complete: set[str] = set()

    async def are_complete(self, kind: Kind) -> bool:
        """Whether all of this kind is summarised or marked."""
        if kind.complete not in self._complete:
            with read_errors():
                found = await self._reads.find_one({"_id": kind.complete})
            self._complete |= {kind.complete} if found else set()
        return kind.complete in self._complete

    async def complete(self, kind: Kind) -> None:
        with store_errors(), bounded(self._collection.database):
            await self._collection.update_one({"_id": kind.complete}, {"$set": {}}, upsert=True)

    async def reached(self, kind: Kind) -> tuple[str, int] | None:
        """Series ("" for discards) and day that what earlier versions stored is summarised up to."""
        with read_errors():
            found = await self._reads.find_one({"_id": kind.reached})
        return (found["series"], found["day"]) if found else None

    async def reach(self, kind: Kind, series: str, day: int) -> None:
        with store_errors(), bounded(self._collection.database):
            change = {"$set": {"series": series, "day": day}}
            await self._collection.update_one({"_id": kind.reached}, change, upsert=True)

    async def get(self, level: Level, spans: Collection[Span]) -> dict[Span, Summary]:
        """Each as it stands."""
        with read_errors():
            found = await self._reads.find({"_id": {"$in": [_id(level, *span) for span in spans]}}).to_list()
        nothing = Summary(0, _rows(level, []))
        standing = {_span(each["_id"]): Summary(each["version"], _rows(level, [each])) for each in found}
        return {span: standing.get(span, nothing) for span in spans}

    async def put(self, level: Level, built: Mapping[Span, tuple[Summary, Rows]]) -> bool:
        """Whether each was still as it was; where one was not, others may be put all the same.

        Without parts, what stands nowhere need not be written.
        """
        writes = [
            _write(_id(level, *span), was.version, parts)
            for span, (was, parts) in built.items()
            if was.version or len(parts)
        ]
        if not writes:
            return True
        try:
            with store_errors(), bounded(self._collection.database):
                done = await self._collection.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            check_passing(error.details)
            if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
                raise
            return False
        return done.matched_count + done.inserted_count == len(writes)

    async def between(self, level: Level, key: Key, start: int, end: int) -> AsyncGenerator[Rows]:
        """The rows of all documents from the one that holds `start` to the one that holds `end`, in order."""
        where = {"$gte": _id(level, key, start), "$lte": _id(level, key, end)}
        async with aclosing(self._rows(level, where)) as found:
            async for rows in found:
                yield rows

    async def some(self, level: Level, key: Key, begins: Sequence[int]) -> AsyncGenerator[Rows]:
        """As above, of the documents that begin then; ascending."""
        for first in range(0, len(begins), AT_ONCE):
            some = begins[first : first + AT_ONCE]
            where: Document = {"$in": [_id(level, key, begin) for begin in some]}
            if some[-1] - some[0] == (len(some) - 1) * level.size:  # without a gap: one seek, not one each
                where = {"$gte": _id(level, key, some[0]), "$lte": _id(level, key, some[-1])}
            async with aclosing(self._rows(level, where)) as found:
                async for rows in found:
                    yield rows

    async def _rows(self, level: Level, where: Document) -> AsyncGenerator[Rows]:
        """Freely: an answer takes a batch at a time."""
        command = {
            "find": COLLECTION,
            "filter": {"_id": where},
            "projection": {"_id": 0, "parts": 1},
            "sort": {"_id": 1},
            "batchSize": AT_ONCE,
        }
        async with aclosing(self._finder.batches(command, freely=True)) as batches:
            async for batch in batches:
                yield _rows(level, batch.whole())

    async def days(self) -> AsyncGenerator[Span]:
        """Of what there are hours, of which days."""
        for kind in (POINTS, DISCARDS):
            with read_errors():
                async with self._reads.find({"_id": _of(kind.days)}, {"_id": 1}, sort={"_id": 1}) as cursor:
                    async for found in cursor:
                        yield _span(found["_id"])

    async def forget_before(self, kind: Kind, time: int) -> None:
        """Delete what ends before that, of this kind."""
        for level in (kind.hours, kind.days):
            ended = {"_id": _of(level), "_id.begin": {"$lte": time - level.size}}
            with store_errors(), bounded(self._collection.database):
                await self._collection.delete_many(ended)


def _write(identifier: Document, version: int, parts: Rows) -> InsertOne[Document] | ReplaceOne[Document]:
    document: Document = {"_id": identifier, "version": version + 1, "parts": Binary(parts.tobytes())}
    if not version:
        return InsertOne(document)
    return ReplaceOne({"_id": identifier, "version": version}, document)


def _id(level: Level, key: Key, time: int) -> Document:
    return {"level": level.name, "series": to_stored(key), "begin": time // level.size * level.size}


def _span(identifier: Document) -> Span:
    return to_key(identifier["series"]), identifier["begin"]


def _of(level: Level) -> Document:
    return {"$gte": {"level": level.name}, "$lt": {"level": level.name + "\0"}}


def _rows(level: Level, documents: Sequence[Document]) -> Rows:
    return np.frombuffer(b"".join(each["parts"] for each in documents), level.row)
