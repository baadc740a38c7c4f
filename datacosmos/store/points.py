"""Collection `points`: the readings of the data server and the sensors, accepted and discarded, a document each."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bson.errors import BSONError, InvalidDocument
from pymongo import ASCENDING, IndexModel
from pymongo.errors import BulkWriteError, OperationFailure

from datacosmos.domain.columns import Columns
from datacosmos.domain.points import Point, Reason, Status, Verdict
from datacosmos.errors import TooManyPoints
from datacosmos.store.connection import Database, Document, check_passing, store_errors
from datacosmos.store.documents import from_document, to_document, to_verdict
from datacosmos.store.finding import Finder
from datacosmos.store.ranges import Position, Window, ranges

COLLECTION = "points"
DUPLICATE_KEY, INDEX_NOT_FOUND = 11000, 27
LONGEST_ERROR = 300  # characters: the driver may repeat the document
DISCARDED = {"status": Status.DISCARDED.value}
INDEXES = [
    IndexModel(
        {"series": ASCENDING, "time": ASCENDING, "identity": ASCENDING},
        name="identity",
        unique=True,
        partialFilterExpression={"status": Status.ACCEPTED.value, "identity": {"$exists": True}},
    ),
    # Covers a range read of time and value.
    IndexModel({"series": 1, "status": 1, "time": 1, "_id": 1, "value": 1}, name="range"),
    IndexModel({"source": 1, "reason": 1}, name="ledger"),
    # Partial, so that an accepted point pays for neither.
    IndexModel({"status": 1, "received_at": 1, "_id": 1}, name="discards", partialFilterExpression=DISCARDED),
    IndexModel({"reasons": 1, "received_at": 1, "_id": 1}, name="reasons", partialFilterExpression=DISCARDED),
]
MOST_RAW = 32 << 20
"""Bytes of payload that one answer may hold."""
COLUMNS, DOCUMENTS, DISCARDS = 4000, 128, 4
"""Points in MongoDB's first answer; a discard may be one of megabytes, of which all queries take some at once."""
RETENTION = "retention"
LONGEST_RETENTION = 2**31 - 1  # seconds: MongoDB takes no more


@dataclass(slots=True)
class Written:
    """What became of a batch: the points as stored, the ids that were there already, and why others can't be stored."""

    stored: list[Point] = field(default_factory=list[Point])
    redelivered: list[str] = field(default_factory=list[str])
    refused: dict[str, str] = field(default_factory=dict[str, str])


class Points:
    """Reads and writes of one database's points. Every method raises StoreUnavailable while MongoDB is away."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._columns = Finder(self._collection, 1 << 19)
        self._documents = Finder(self._collection)

    async def prepare(self) -> None:
        """Make the indexes."""
        with store_errors():
            await self._collection.create_indexes(INDEXES)

    async def keep_discards_for(self, retention: timedelta | None) -> None:
        """Have MongoDB delete discards that were received longer ago; None keeps them all."""
        with store_errors():
            await self._expire_discards(retention)

    async def _expire_discards(self, retention: timedelta | None) -> None:
        seconds = retention and min(max(1, round(retention.total_seconds())), LONGEST_RETENTION)
        standing = (await self._collection.index_information()).get(RETENTION)
        if standing and standing["expireAfterSeconds"] == seconds:
            return  # building it again would read every discard
        if standing:
            try:
                await self._collection.drop_index(RETENTION)
            except OperationFailure as error:
                if error.code != INDEX_NOT_FOUND:  # another process was quicker
                    raise
        if seconds is not None:
            await self._collection.create_index(
                "received_at", name=RETENTION, expireAfterSeconds=seconds, partialFilterExpression=DISCARDED
            )

    async def add(self, points: Sequence[Point]) -> Written:
        """Store a batch; adding it again changes nothing.

        An accepted point whose identity another accepted point already has is stored as a discard, reason duplicate,
        that refers to the winner.
        """
        written = Written()
        waiting = {point.id: (point, to_document(point)) for point in points}
        while waiting:
            beaten = await self._insert(list(waiting.values()), written)
            winners = await self._winners(beaten)
            waiting = {}
            for point, document in beaten:
                winner = winners.get(_identity(document))
                if winner == point.id:
                    written.redelivered.append(point.id)
                elif winner is None:  # gone in between: our turn
                    waiting[point.id] = point, document
                else:
                    verdict = Verdict((*point.verdict.reasons, Reason.DUPLICATE))
                    loser = replace(point, verdict=verdict, duplicate_of=winner)
                    waiting[point.id] = loser, to_document(loser)
        return written

    async def verdicts(self, ids: Sequence[str]) -> dict[str, Verdict]:
        """The verdicts under which these points are stored."""
        with store_errors():
            found = await self._collection.find({"_id": {"$in": list(ids)}}, {"reasons": 1}).to_list(length=len(ids))
        return {document["_id"]: to_verdict(document) for document in found}

    async def count(self, source: str, reason: Reason | None) -> int:
        """How many points of a source are stored as discards for a primary reason; None: as accepted."""
        where = {"source": source, "reason": reason and reason.value}
        with store_errors():
            return await self._collection.count_documents(where, hint="ledger")

    def accepted(
        self, series: str, window: Window, *, limit: int, after: Position | None = None
    ) -> AsyncGenerator[list[Point]]:
        """The first accepted points of a series after a position, by time, then id, without their raw payloads.

        They come in pages that are short enough for others to get their turn in between.
        """
        return self._pages(_command(_accepted(series), "time", window, limit, after, DOCUMENTS, {"raw": 0}))

    async def discards(
        self,
        reason: Reason | None,
        window: Window,
        *,
        limit: int,
        after: Position | None = None,
        source: str | None = None,
    ) -> AsyncGenerator[list[Point]]:
        """The first discards after a position, by received_at, then id; `reason` matches any of a point's reasons.

        In pages, as above. Raises TooManyPoints where their payloads together are larger than MOST_RAW.
        """
        where = DISCARDED | ({"reasons": reason.value} if reason else {}) | ({"source": source} if source else {})
        command = _command(where, "received_at", window, limit, after, DISCARDS, {})
        found, room = 0, MOST_RAW
        async with aclosing(self._pages(command)) as pages:
            async for page in pages:
                for point in page:
                    found += 1
                    room -= len(point.reading.raw)
                    if room < 0:
                        raise TooManyPoints(
                            f"the payloads of {found} are more than {MOST_RAW >> 20} MiB; ask for fewer"
                        )
                yield page

    async def columns(
        self,
        series: str,
        window: Window,
        *,
        limit: int = 0,
        after: Position | None = None,
        batch: int = COLUMNS,
        ids: bool = False,
    ) -> AsyncGenerator[Columns]:
        """Time and value, and ids where wanted, of accepted points in order, read from an index alone; 0 is no limit.

        Raises NoColumns where a point has no time or no float for a value.
        """
        projection = {"_id": int(ids), "time": 1, "value": 1}
        command = _command(_accepted(series), "time", window, limit, after, batch, projection)
        async with aclosing(self._columns.batches(command)) as batches:
            async for found in batches:
                yield await found.columns()

    async def _pages(self, command: Document) -> AsyncGenerator[list[Point]]:
        async with aclosing(self._documents.batches(command)) as batches:
            async for found in batches:
                for documents in found.documents():
                    yield [from_document(document) for document in documents]
                    await asyncio.sleep(0)

    async def _insert(self, batch: Sequence[tuple[Point, Document]], written: Written) -> list[tuple[Point, Document]]:
        """Insert unordered, note what became of each, and return those beaten by an earlier identity."""
        try:
            with store_errors():
                await self._collection.insert_many([document for _, document in batch], ordered=False)
        except BulkWriteError as error:
            return _sort_out(batch, error.details, written)
        except OperationFailure as error:
            # Most likely one document is too large; whichever it is, it must not block the others.
            return await self._bisect(batch, written, error)
        except (InvalidDocument, BSONError, OverflowError, UnicodeEncodeError) as error:
            return await self._bisect(batch, written, error)
        written.stored.extend(point for point, _ in batch)
        return []

    async def _bisect(
        self, batch: Sequence[tuple[Point, Document]], written: Written, error: Exception
    ) -> list[tuple[Point, Document]]:
        """Insert the halves of a batch that was refused whole for one document's sake, and leave that one out."""
        if len(batch) == 1:
            written.refused[batch[0][0].id] = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
            return []
        middle = len(batch) // 2
        return [*await self._insert(batch[:middle], written), *await self._insert(batch[middle:], written)]

    async def _winners(self, beaten: Sequence[tuple[Point, Document]]) -> dict[tuple[Any, ...], str]:
        if not beaten:
            return {}
        keys = [
            {"series": document["series"], "time": document["time"], "identity": document["identity"]}
            for _, document in beaten
        ]
        with store_errors():
            found = await self._collection.find(
                {"$or": [key | {"status": Status.ACCEPTED.value} for key in keys]},
                {"series": 1, "time": 1, "identity": 1},
            ).to_list(length=len(keys))
        return {_identity(document): document["_id"] for document in found}


def _command(
    where: Document,
    key: str,
    window: Window,
    limit: int,
    after: Position | None,
    batch: int,
    projection: Document,
) -> Document:
    return {
        "find": COLLECTION,
        "filter": ranges(where, key, window, after),
        "projection": projection,
        "sort": {key: 1, "_id": 1},
        "limit": limit,
        "batchSize": min(batch, limit) if limit else batch,
    }


def _accepted(series: str) -> Document:
    return {"series": series, "status": Status.ACCEPTED.value}


def _sort_out(
    batch: Sequence[tuple[Point, Document]], details: Mapping[str, Any], written: Written
) -> list[tuple[Point, Document]]:
    check_passing(details)
    failed = {error["index"]: error for error in details["writeErrors"]}
    beaten: list[tuple[Point, Document]] = []
    for index, (point, document) in enumerate(batch):
        error = failed.get(index)
        if error is None:
            written.stored.append(point)
        elif error["code"] != DUPLICATE_KEY:
            written.refused[point.id] = f"MongoDB refused it: code {error['code']}, {error['errmsg']}"[:LONGEST_ERROR]
        elif "_id" in error["keyPattern"]:
            written.redelivered.append(point.id)
        else:
            beaten.append((point, document))
    return beaten


def _identity(document: Document) -> tuple[Any, ...]:
    time: datetime | None = document["time"]
    # Whole milliseconds, as a time is that comes back from MongoDB.
    kept = time and time.replace(microsecond=time.microsecond // 1000 * 1000)
    return document["series"], kept, document["identity"]
