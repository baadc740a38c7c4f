"""Collection `points`: the readings of the data server and the sensors, accepted and discarded, a document each."""

from collections.abc import AsyncGenerator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from datetime import datetime, timedelta

import numpy as np

from datacosmos.domain.columns import Columns, Rows
from datacosmos.domain.points import Point, Reason, Status, Verdict
from datacosmos.domain.series import from_datetime
from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import Database, Document, for_reads, read_errors, store_errors
from datacosmos.store.mongo.finding import Batches, Finder
from datacosmos.store.mongo.ranges import Position, Window, in_any, ranges
from datacosmos.store.points.documents import from_document, in_order, only, to_verdict
from datacosmos.store.points.indexes import INDEXES, OF_SERIES, OF_SOURCE, expire_discards
from datacosmos.store.points.inserts import Inserts, Written
from datacosmos.store.points.queries import (
    ALL,
    COLLECTION,
    DISCARDED,
    Filter,
    Room,
    accepted_of,
    choosing,
    discarded_for,
    find,
    finite,
)

TIME_AND_VALUE = frozenset({"time", "value"})
COVERED = TIME_AND_VALUE | {"_id"}
"""Fields that the index `range` holds of each accepted point, and columns too."""
OF_NEWEST = {
    name: {"$first": f"${name}"}
    for name in ("source", "time", "value", "sent_value", "tags", "identity", "reasons", "received_at")
}
COLUMNS, RECORDS, DOCUMENTS, DISCARDS = 4000, 1000, 128, 4
"""Points in MongoDB's first answer; a discard may be one of megabytes, of which all queries take some at once."""
COLUMNS_BYTES = 1 << 19  # of a batch; documents are larger in memory than their bytes, columns are not


class Points:
    """Reads and writes of one database's points. Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._reads = for_reads(database)[COLLECTION]
        self._inserts = Inserts(self._collection)
        self._columns = Finder(database, COLLECTION, COLUMNS_BYTES)
        self._documents = Finder(database, COLLECTION)

    async def prepare(self) -> None:
        """Make the indexes."""
        with store_errors():
            await self._collection.create_indexes(INDEXES)

    async def keep_discards_for(self, retention: timedelta | None) -> None:
        """Have MongoDB delete discards that were received longer ago; None keeps them all."""
        with store_errors():
            await expire_discards(self._collection, retention)

    async def add(self, points: Sequence[Point], written: Written | None = None) -> Written:
        """Store a batch; adding it again changes nothing.

        An accepted point whose identity another accepted point already has is stored as a discard, reason duplicate,
        that refers to the winner. Where this fails midway, it goes on from there when it is called again with the same
        `written`, whose session is then the caller's to end.
        """
        if written is not None:
            await self._inserts.add(points, written)
            return written
        written = await self.add(points, Written())
        written.end_session()
        return written

    async def verdicts(self, ids: Sequence[str]) -> dict[str, Verdict]:
        """The verdicts under which these points are stored."""
        with store_errors():
            found = await self._collection.find({"_id": {"$in": list(ids)}}, {"reasons": 1}).to_list(length=len(ids))
        return {document["_id"]: to_verdict(document) for document in found}

    async def sources(self) -> set[str]:
        """Every source that points are stored of, by skipping through an index."""
        with store_errors():
            return set(await self._collection.distinct("source"))

    async def count(self, source: str, reason: Reason | None) -> int:
        """How many points of a source are stored as discards for a primary reason; None: as accepted."""
        where = {"source": source, "reason": reason and reason.value}
        with store_errors():
            return await self._collection.count_documents(where, hint="ledger")

    async def count_accepted(self, series: str, window: Window, chosen: Filter = ALL) -> int:
        """Those that `accepted` finds, one by one: summaries are quicker where none are chosen."""
        return await self._documents.count(ranges(accepted_of(series, chosen, only_finite=True), "time", window, None))

    async def count_discarded(self, reason: Reason | None, window: Window, source: str | None) -> int:
        return await self._documents.count(ranges(discarded_for(reason, source), "received_at", window, None))

    async def next(self, series: str, time: datetime | None = None) -> tuple[str, str, datetime] | None:
        """Series, source and time of the first accepted point of a series after a time, or of the series after it."""
        first: Document = {
            "sort": {"series": 1, "status": 1, "time": 1},
            "projection": {"series": 1, "source": 1, "time": 1},
        }
        accepted = {"status": Status.ACCEPTED.value}
        with read_errors():
            found = time and await self._reads.find_one({"series": series, "time": {"$gt": time}} | accepted, **first)
            found = found or await self._reads.find_one({"series": {"$gt": series}} | accepted, **first)
        return (found["series"], found["source"], found["time"]) if found else None

    async def latest(self, series: Sequence[str]) -> dict[str, Point]:
        """The newest accepted point of each series that has one, without its raw payload: one index seek each."""
        found = await self._ends(series, -1, {"id": {"$first": "$_id"}, **OF_NEWEST})
        return {each["_id"]: from_document(each | {"_id": each["id"], "series": each["_id"]}) for each in found}

    async def oldest(self, series: Sequence[str]) -> dict[str, datetime]:
        """When the oldest accepted point is, of each series that has one: likewise."""
        return {each["_id"]: each["time"] for each in await self._ends(series, 1, {"time": {"$first": "$time"}})}

    async def _ends(self, series: Sequence[str], direction: int, fields: Document) -> list[Document]:
        stages: list[Document] = [
            {"$match": accepted_of({"$in": list(series)})},
            {"$sort": dict.fromkeys(("series", "status", "time", "_id"), direction)},
            {"$group": {"_id": "$series", **fields}},
        ]
        with read_errors():
            return await (await self._reads.aggregate(stages, hint="range")).to_list()

    async def at(self, series: str, times: Sequence[tuple[datetime, float]]) -> list[Point]:
        """A point of each time and value, in order; those that are gone are left out."""
        where = accepted_of(series) | {"time": {"$in": [time for time, _ in times]}}
        found: dict[tuple[datetime | None, float | None], Point] = {}
        async with aclosing(
            self._documents.pages(find(where, "time", 0, DOCUMENTS, {"raw": 0}), from_document)
        ) as pages:
            async for page in pages:
                found |= {(point.reading.time, point.reading.value): point for point in page}
        return [found[time] for time in times if time in found]

    async def oldest_discard(self, source: str, series: str | None) -> datetime | None:
        """When it was received, of a source, and of one of its series where that is given: one index seek."""
        where = discarded_for(None, source) | ({} if series is None else {"series": series})
        hint = OF_SOURCE if series is None else OF_SERIES
        with read_errors():
            found = await self._reads.find_one(where, {"received_at": 1, "_id": 0}, sort={"received_at": 1}, hint=hint)
        return found["received_at"] if found else None

    async def discard_counts(
        self, source: str, series: str | None, windows: Sequence[Window], *, freely: bool = False
    ) -> AsyncGenerator[list[tuple[int, int, bytes]]]:
        """How many were received at each time in some windows, in microseconds since the epoch, and why discarded.

        By their primary reason, in any order and in pages, of a source, and of one of its series where that is given;
        from an index alone.
        """
        where = discarded_for(None, source) | ({} if series is None else {"series": series})
        group = {"_id": {"at": "$received_at", "reason": "$reason"}, "n": {"$sum": 1}}
        command = {
            "aggregate": COLLECTION,
            "pipeline": [{"$match": in_any(where, "received_at", windows)}, {"$group": group}],
            "hint": OF_SOURCE if series is None else OF_SERIES,
            "cursor": {"batchSize": COLUMNS},
        }
        async with aclosing(self._documents.pages(command, _to_count, freely=freely)) as pages:
            async for page in pages:
                yield page

    async def discarded_keys(self, window: Window) -> list[tuple[str, str | None]]:
        """Source and series of what was discarded."""
        stages: list[Document] = [
            {"$match": ranges(DISCARDED, "received_at", window, None)},
            {"$group": {"_id": {"source": "$source", "series": "$series"}}},
        ]
        with read_errors():
            found = await (await self._reads.aggregate(stages, hint="discards")).to_list()
        return [(each["_id"]["source"], each["_id"]["series"]) for each in found]

    async def next_discard(self, time: datetime) -> datetime | None:
        """When the first from a time on was received."""
        where = DISCARDED | {"received_at": {"$gte": time}}
        with read_errors():
            found = await self._reads.find_one(
                where, {"received_at": 1, "_id": 0}, sort={"received_at": 1}, hint="discards"
            )
        return found["received_at"] if found else None

    async def discard(self, identifier: str) -> Point | None:
        with read_errors():
            found = await self._reads.find_one({"_id": identifier} | DISCARDED, hint={"_id": 1})
        return from_document(found) if found else None

    def accepted(
        self,
        series: str,
        window: Window,
        *,
        limit: int,
        after: Position | None = None,
        down: bool = False,
        chosen: Filter = ALL,
    ) -> AsyncGenerator[list[Point]]:
        """The first accepted points of a series after a position, by time, then id, without their raw payloads.

        `down`, the last before it, the newest first. They come in pages that are short enough for others to get their
        turn in between. Raises TooManyPoints where choosing them takes too long.
        """
        where = ranges(accepted_of(series, chosen, only_finite=True), "time", window, after, down=down)
        command = find(where, "time", limit, DOCUMENTS, {"raw": 0}, down=down) | chosen.limits
        pages = self._documents.pages(command, from_document)
        return choosing(pages) if chosen.limits else pages

    async def discards(
        self,
        reason: Reason | None,
        window: Window,
        *,
        limit: int,
        after: Position | None = None,
        source: str | None = None,
        down: bool = False,
        freely: bool = False,
    ) -> AsyncGenerator[list[Point]]:
        """The first discards after a position, by received_at, then id; `reason` matches any of a point's reasons.

        `down` and in pages, as above; a limit of 0 is none. Raises TooManyPoints where their payloads together are
        larger than MOST_RAW, but for whoever reads `freely`, as in `columns`.
        """
        where = ranges(discarded_for(reason, source), "received_at", window, after, down=down)
        command = find(where, "received_at", limit, DISCARDS, {}, down=down)
        room = Room()
        async with aclosing(self._documents.pages(command, from_document, freely=freely)) as pages:
            async for page in pages:
                for point in () if freely else page:
                    room.take(len(point.reading.raw))
                yield page

    def find_accepted(
        self,
        series: str,
        window: Window,
        fields: AbstractSet[str],
        *,
        limit: int,
        after: Position | None = None,
        down: bool = False,
        chosen: Filter = ALL,
    ) -> Batches[Rows]:
        """These fields of the points that `accepted` finds; many at once are columns where the index has them all.

        Raises NoColumns where they are to be read otherwise: one has no time or no float in the index.
        """
        are_covered = fields <= COVERED and not chosen.tags
        wanted = frozenset(fields | TIME_AND_VALUE if are_covered else fields)
        where = accepted_of(series, chosen, only_finite=not are_covered)
        where = ranges(where, "time", window, after, down=down)
        batch = COLUMNS if are_covered else RECORDS
        command = find(where, "time", limit, batch, only(wanted), down=down) | chosen.limits
        names = in_order(wanted)

        def rows_of(found: Batch) -> Rows:
            rows = found.rows(names)
            return finite(rows) if are_covered else rows

        rows = (self._columns if are_covered else self._documents).read(command, rows_of)
        return choosing(rows) if chosen.limits else rows

    def find_discarded(
        self,
        reason: Reason | None,
        window: Window,
        fields: AbstractSet[str],
        *,
        limit: int,
        after: Position | None = None,
        source: str | None = None,
        down: bool = False,
    ) -> Batches[Rows]:
        """These fields of the points that `discards` finds; payloads count only where they are among them."""
        wanted = frozenset(fields or {"_id"})
        where = ranges(discarded_for(reason, source), "received_at", window, after, down=down)
        batch = DISCARDS if "raw" in fields else DOCUMENTS
        command = find(where, "received_at", limit, batch, only(wanted), down=down)
        names, room = in_order(wanted), Room()

        def rows_of(found: Batch) -> Rows:
            rows = found.rows(names)
            for payload in rows.column("raw") if "raw" in wanted else ():
                room.take(len(payload or b""))
            return rows

        return self._documents.read(command, rows_of)

    async def columns(
        self, series: str, windows: Sequence[Window], *, batch: int = COLUMNS, freely: bool = False
    ) -> AsyncGenerator[Columns]:
        """Time and value of accepted points in some windows, from an index alone, in order where it is one window.

        Whoever gives them on at a client's speed reads `freely`, without turns, and bounds itself. Raises NoColumns
        where a point has no time or no float for a value; infinite ones, which the index could leave out for a quarter
        of the time, are left out here.
        """
        where = in_any(accepted_of(series), "time", windows)
        command = find(where, "time", 0, batch, only(TIME_AND_VALUE)) | {"hint": "range"}
        if len(windows) > 1:
            del command["sort"]  # the index has an order for each window alone

        async with aclosing(self._columns.batches(command, freely=freely)) as batches:
            async for found in batches:
                rows = found.columns()
                yield rows[np.isfinite(rows.value)]
                del found, rows  # the next may be long in coming


def _to_count(document: Document) -> tuple[int, int, bytes]:
    at, reason = document["_id"]["at"], document["_id"]["reason"]
    return from_datetime(at), document["n"], reason.encode()
