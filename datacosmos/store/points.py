"""Collection `points`: the readings of the data server and the sensors, accepted and discarded, a document each."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from datacosmos.domain.columns import Columns
from datacosmos.domain.points import Point, Reason, Status, Verdict
from datacosmos.errors import TooManyPoints
from datacosmos.store.connection import Database, Document, store_errors
from datacosmos.store.documents import from_document, to_verdict
from datacosmos.store.finding import Finder
from datacosmos.store.inserts import Inserts, Written
from datacosmos.store.ranges import Position, Window, ranges

COLLECTION = "points"
INDEX_NOT_FOUND = 27
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
COLUMNS_BYTES = 1 << 19  # of a batch; documents are larger in memory than their bytes, columns are not
RETENTION = "retention"
LONGEST_RETENTION = 2**31 - 1  # seconds: MongoDB takes no more


class Points:
    """Reads and writes of one database's points. Every method raises StoreUnavailable while MongoDB is away."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._inserts = Inserts(self._collection)
        self._columns = Finder(self._collection, COLUMNS_BYTES)
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
        return await self._inserts.add(points)

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
        where = ranges(_accepted(series), "time", window, after)
        return self._documents.pages(_command(where, "time", limit, DOCUMENTS, {"raw": 0}), from_document)

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
        command = _command(ranges(where, "received_at", window, after), "received_at", limit, DISCARDS, {})
        found, room = 0, MOST_RAW
        async with aclosing(self._documents.pages(command, from_document)) as pages:
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
        command = _command(ranges(_accepted(series), "time", window, after), "time", limit, batch, projection)
        async with aclosing(self._columns.batches(command)) as batches:
            async for found in batches:
                yield await found.columns()


def _command(where: Document, key: str, limit: int, batch: int, projection: Document) -> Document:
    return {
        "find": COLLECTION,
        "filter": where,
        "projection": projection,
        "sort": {key: 1, "_id": 1},
        "limit": limit,
        "batchSize": min(batch, limit) if limit else batch,
    }


def _accepted(series: str) -> Document:
    return {"series": series, "status": Status.ACCEPTED.value}
