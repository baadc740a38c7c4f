"""Uploaded series: made, found, appended to, read and deleted."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import TypeVar

import numpy as np
import uuid_utils
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from datacosmos.domain import metrics, series
from datacosmos.domain.series import CHUNK, MAX_NAMES, Samples
from datacosmos.errors import NameTaken, SeriesGone, TooManyNames
from datacosmos.store.appends import Appends
from datacosmos.store.chunks import ChunkGone, Chunks, Entries
from datacosmos.store.commits import Appended, Target
from datacosmos.store.connection import Database, Document, store_errors
from datacosmos.store.roots import FRESH, LISTED, Series, Snapshot, blank, to_document, to_series, to_snapshot
from datacosmos.store.stages import Stage, leave_to_sweep, reclaim
from datacosmos.store.transactions import Session, Try, insist, transaction

KEEP = timedelta(minutes=5)


class Everyone(Enum):
    """In place of one owner: all of them, and nobody."""

    EVERYONE = "everyone"


EVERYONE = Everyone.EVERYONE
Owner = str | None
T = TypeVar("T")
INDEXES = [
    IndexModel({"owner": 1, "name": 1}, name="name", unique=True, partialFilterExpression={"name": {"$exists": True}}),
    IndexModel({"owner": 1, "_id": 1}, name="owner"),
]


class SeriesStore:
    """Reads and writes of one database's series. Every method raises StoreUnavailable while MongoDB is away.

    An owner is who a token speaks for, None for those without one; who may do what is the caller's to decide.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._roots = database, database["series"]
        self._chunks = Chunks(database)
        self._appends = Appends(database, self._chunks)

    async def prepare(self) -> None:
        """Make the indexes."""
        with store_errors():
            await self._roots.create_indexes(INDEXES)
            await self._chunks.collection.create_index("series", name="series")

    async def create(self, owner: Owner, name: str | None, unit: str | None, samples: Samples) -> Series:
        """A new series of samples in order, no time twice. Raises NameTaken."""
        if name is not None and await self._find({"owner": owner, "name": name}, {"_id": 1}):
            raise _taken(name)
        first, last = (int(samples.t[0]), int(samples.t[-1])) if len(samples) else (None, None)
        bounds = {"version": 1, "count": len(samples), "start": first, "end": last}
        new = replace(blank(str(uuid_utils.uuid7()), owner, name, unit), **bounds)
        try:
            if len(samples) <= FRESH:
                with store_errors():
                    await self._roots.insert_one(to_document(replace(new, fresh=samples)))
            else:
                await self._create_staged(new, samples)
        except DuplicateKeyError:
            raise _taken(name) from None
        return to_series(to_document(new))

    async def get(self, identifier: str) -> Snapshot | None:
        document = await self._find({"_id": identifier})
        return None if document is None else to_snapshot(document)

    async def find(self, owner: Owner, name: str) -> Snapshot | None:
        document = await self._find({"owner": owner, "name": name})
        return None if document is None else to_snapshot(document)

    async def list(self, owner: Owner | Everyone, *, limit: int, after: str | None = None) -> list[Series]:
        """The first series after an id, the oldest first."""
        where = _of(owner) | ({"_id": {"$gt": after}} if after is not None else {})
        cursor = self._roots.find(where, LISTED, limit=limit).sort("_id", 1)
        with store_errors():
            return [to_series(document) for document in await cursor.to_list(length=limit)]

    async def count(self, owner: Owner | Everyone) -> int:
        with store_errors():
            return await self._roots.count_documents(_of(owner))

    async def append(self, to: Series, samples: Samples) -> Appended:
        """Add samples in any order; a time that is there already keeps its first value. Raises SeriesGone."""
        return await self._appends.append({Target(to.owner, to.name, to.id): samples})

    async def append_many(self, owner: Owner, points: Mapping[str, Samples]) -> Appended:
        """Add samples to an owner's series by name, all or nothing, making those there are not. Raises TooManyNames."""
        if len(points) > MAX_NAMES:
            raise TooManyNames(f"a request may name {MAX_NAMES} series, but this one names {len(points)}: split it")
        return await self._appends.append({Target(owner, name): samples for name, samples in points.items()})

    async def delete(self, identifier: str) -> bool:
        """Whether there was such a series; its chunks are reclaimed later, by `sweep`."""
        deleted = False

        async def act(session: Session) -> None:
            nonlocal deleted
            deleted = (await self._roots.delete_one({"_id": identifier}, session=session)).deleted_count > 0
            if deleted:
                await leave_to_sweep(self._database, identifier, session)

        await insist(lambda attempt: transaction(self._database, act, attempt.deadline))
        return deleted

    async def sweep(self, keep: timedelta = KEEP) -> int:
        """Reclaim chunks that no series leads to, left to their readers for a while; how many there were."""
        return await reclaim(self._database, keep.total_seconds())

    async def chunks(
        self, snapshot: Snapshot, start: int | None = None, end: int | None = None
    ) -> AsyncGenerator[Samples]:
        """The points of a range, both ends inclusive, in order, a chunk at a time, as they were at the snapshot.

        A reader slower than the sweep goes on with the series as it is by then. Raises SeriesGone.
        """
        while True:
            try:
                async for samples in self._read(snapshot, start, end):
                    if len(samples):
                        yield samples
                        start = int(samples.t[-1]) + 1
            except ChunkGone:
                snapshot = await self._again(snapshot)
            else:
                return

    async def summaries(self, snapshot: Snapshot, start: int | None = None, end: int | None = None) -> Entries:
        """Parts of what a range's values add up to, for `metrics.summary`: few, however long the range is."""

        async def read(snapshot: Snapshot) -> Entries:
            fresh = series.between(snapshot.fresh, start, end)
            parts = await self._chunks.parts(snapshot.pages, start, end)
            return np.concatenate([parts, metrics.summarise(fresh.v, CHUNK)])

        return await self._lasting(snapshot, read)

    async def newest(self, snapshot: Snapshot, count: int) -> Samples:
        """The last `count` points, one or more, or all there are."""

        async def read(snapshot: Snapshot) -> Samples:
            start = await self._chunks.start_of_last(snapshot.pages, count)
            return series.joined([samples async for samples in self._read(snapshot, start, None)])[-count:]

        return await self._lasting(snapshot, read)

    async def _lasting(self, snapshot: Snapshot, read: Callable[[Snapshot], Awaitable[T]]) -> T:
        """What is read of a snapshot, or of the series as it is now where the snapshot's chunks are gone."""
        while True:
            try:
                return await read(snapshot)
            except ChunkGone:
                snapshot = await self._again(snapshot)

    async def _read(self, snapshot: Snapshot, start: int | None, end: int | None) -> AsyncGenerator[Samples]:
        """Chunks with the fresh points put where they belong."""
        fresh = series.between(snapshot.fresh, start, end)
        async for samples in self._chunks.read(snapshot.pages, start, end):
            reach = int(np.searchsorted(fresh.t, int(samples.t[-1]))) if len(samples) else 0
            yield series.merged(samples, fresh[:reach]) if reach else samples
            fresh = fresh[reach:]
        yield fresh

    async def _again(self, snapshot: Snapshot) -> Snapshot:
        now = await self.get(snapshot.id)
        if now is None:
            raise SeriesGone("the series was deleted while it was read")
        return now

    async def _create_staged(self, new: Snapshot, samples: Samples) -> None:
        async def attempt(attempt: Try) -> None:
            stage = Stage(self._database, self._chunks)
            pages = await stage.graft(new.id, new.pages, samples)
            await stage.flush()

            async def act(session: Session) -> None:
                await self._roots.insert_one(to_document(replace(new, pages=pages)), session=session)
                await stage.settle(session)

            await transaction(self._database, act, attempt.deadline)

        await insist(attempt)

    async def _find(self, where: Document, fields: Document | None = None) -> Document | None:
        with store_errors():
            return await self._roots.find_one(where, fields)


def _of(owner: Owner | Everyone) -> Document:
    return {} if owner is EVERYONE else {"owner": owner}


def _taken(name: str | None) -> NameTaken:
    return NameTaken(f"there is a series named {name!r} already: append to it, or choose another name")
