"""Uploaded series: made, found, appended to, read and deleted."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import TypeVar

import numpy as np
import uuid_utils
from numpy.typing import NDArray
from pymongo import IndexModel

from datacosmos.domain import metrics, series
from datacosmos.domain.series import CHUNK, MAX_NAMES, Samples
from datacosmos.domain.summaries import Parts
from datacosmos.errors import SeriesGone, TooManyNames
from datacosmos.store.mongo.connection import Database, Document, client_of, for_reads, read_errors, store_errors
from datacosmos.store.mongo.finding import Finder
from datacosmos.store.mongo.ranges import contains
from datacosmos.store.mongo.transactions import Session, retry_conflicts, transaction
from datacosmos.store.series import creations, spans
from datacosmos.store.series.appends import Appends
from datacosmos.store.series.chunks import ChunkGone, Chunks, Entries
from datacosmos.store.series.commits import Appended, Target
from datacosmos.store.series.creations import Creations, Repeatable
from datacosmos.store.series.roots import LISTED, Series, Snapshot, blank, to_document, to_series, to_snapshot
from datacosmos.store.series.spans import Sampled, Times
from datacosmos.store.series.stages import is_left_to_sweep, leave_to_sweep, reclaim
from datacosmos.store.series.targets import Targets

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
    creations.INDEX,
]


class SeriesStore:
    """Reads and writes of one database's series. Every method raises StoreUnavailable while MongoDB is unavailable.

    An owner is whoever a token speaks for, None for those without one; the caller decides who may do what.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._roots = database, database["series"]
        self._read_roots, self._read_turns = for_reads(database)["series"], client_of(database).read_turns
        self._finder = Finder(database, "series")
        self._chunks, self._read_chunks = Chunks(database), Chunks(database, Finder(database, "chunks"))
        self._appends = Appends(database, self._chunks)
        self._targets = Targets(self._roots)
        self._creations = Creations(database, self._chunks)

    async def prepare(self) -> None:
        """Make the indexes."""
        with store_errors():
            await self._roots.create_indexes(INDEXES)
            await self._chunks.collection.create_index("series", name="series")

    async def create(
        self, owner: Owner, name: str | None, unit: str | None, samples: Samples, request: Repeatable | None = None
    ) -> Series:
        """A new series of samples in order, no time twice; of a repeated request, the one that it made, as it was then.

        Raises NameTaken, and KeyReused where the request's key came with another body.
        """
        first, last = (int(samples.t[0]), int(samples.t[-1])) if len(samples) else (None, None)
        bounds = {"version": 1, "count": len(samples), "start": first, "end": last}
        new = replace(blank(str(uuid_utils.uuid7()), owner, name, unit), **bounds)
        made = await self._creations.create(new, samples, request)
        return to_series(to_document(replace(new, id=made)))

    async def get(self, identifier: str) -> Snapshot | None:
        document = await self._find({"_id": identifier})
        return None if document is None else to_snapshot(document)

    async def find(self, owner: Owner, name: str) -> Snapshot | None:
        document = await self._find({"owner": owner, "name": name})
        return None if document is None else to_snapshot(document)

    async def names_among(self, owner: Owner, names: Sequence[str]) -> set[str]:
        """Those of these names that the owner has a series of."""
        where = {"owner": owner, "name": {"$in": [*names]}}
        async with self._read_turns:
            with read_errors():
                cursor = self._read_roots.find(where, {"name": 1, "owner": 1, "_id": 0}, hint="name")
                return {document["name"] for document in await cursor.to_list()}

    async def list(
        self, owner: Owner | Everyone, *, limit: int, after: str | None = None, search: str = "", down: bool = False
    ) -> list[Series]:
        """The first series after an id, the oldest first, or, `down`, the last before it, the newest first.

        `search` is a part of the name, in capitals or not.
        """
        where = _of(owner, search) | ({"_id": {"$lt" if down else "$gt": after}} if after is not None else {})
        cursor = self._read_roots.find(where, LISTED, limit=limit).sort("_id", -1 if down else 1)
        async with self._read_turns:
            with store_errors():
                return [to_series(document) for document in await cursor.to_list(length=limit)]

    async def count(self, owner: Owner | Everyone, search: str = "") -> int:
        return await self._finder.count(_of(owner, search))

    async def target(self, identifier: str) -> Target | None:
        """What to append to, as far as it is known: an append tells where it has been deleted."""
        return await self._targets.find(identifier)

    async def append(self, to: Series | Target, samples: Samples) -> Appended:
        """Add samples in any order; a time that is there already keeps its first value. Raises SeriesGone."""
        try:
            return await self._appends.append({Target(to.owner, to.name, to.id): samples})
        except SeriesGone:
            self._targets.forget(to.id or "")
            raise

    async def append_many(self, owner: Owner, points: Mapping[str, Samples]) -> Appended:
        """Add samples to an owner's series by name, all or nothing, making those there are not. Raises TooManyNames."""
        if len(points) > MAX_NAMES:
            raise TooManyNames(f"a request may name {MAX_NAMES} series, but this one names {len(points)}: split it")
        return await self._appends.append({Target(owner, name): samples for name, samples in points.items()})

    async def delete(self, identifier: str) -> bool:
        """Whether there was such a series; its chunks are reclaimed later, by `sweep`."""
        deletion, deleted = uuid_utils.uuid7().hex, False

        async def act(session: Session) -> None:
            nonlocal deleted
            if (await self._roots.delete_one({"_id": identifier}, session=session)).deleted_count:
                await leave_to_sweep(self._database, identifier, deletion, session)
                deleted = True
            elif deleted:  # by a try before, as it seemed
                deleted = await is_left_to_sweep(self._database, identifier, deletion, session)

        await retry_conflicts(lambda attempt: transaction(self._database, act, attempt.deadline))
        self._targets.forget(identifier)
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
            parts = await self._read_chunks.parts(snapshot.pages, start, end)
            return np.concatenate([parts, metrics.summarise(fresh.v, CHUNK)])

        return await self._lasting(snapshot, read)

    async def values(self, snapshot: Snapshot, start: int | None = None, end: int | None = None) -> NDArray[np.float64]:
        """The values of a range in no order, writable. Raises SeriesGone."""

        async def read(snapshot: Snapshot) -> NDArray[np.float64]:
            values = bytearray(series.between(snapshot.fresh, start, end).v.tobytes())
            async for part in self._read_chunks.values(snapshot.pages, start, end):
                values += part.data  # in place, where joining parts would take twice the memory
            return np.frombuffer(values, np.float64)

        return await self._lasting(snapshot, read)

    async def gathered(self, snapshot: Snapshot, edges: Times, start: int, end: int, *, drawn: bool = False) -> Parts:
        """What [start, end] adds up to between each two edges, as `spans.gathered` tells. Raises SeriesGone."""
        return await self._lasting(
            snapshot, lambda now: spans.gathered(self._read_chunks, now, edges, start, end, drawn=drawn)
        )

    async def sampled(self, snapshot: Snapshot, start: int | None, end: int | None, *, width: int) -> Sampled:
        """Points of a range, both ends inclusive, to draw a line through that is `width` pixels wide, as
        `domain.summaries` tells; an open end is the first or the last point. Raises SeriesGone."""
        return await self._lasting(snapshot, lambda now: spans.sampled(self._read_chunks, now, start, end, width))

    async def newest(self, snapshot: Snapshot, count: int) -> Samples:
        """The last `count` points, one or more, or all there are."""

        async def read(snapshot: Snapshot) -> Samples:
            start = await self._read_chunks.start_of_last(snapshot.pages, count)
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
        async for samples in self._read_chunks.read(snapshot.pages, start, end):
            reach = int(np.searchsorted(fresh.t, int(samples.t[-1]))) if len(samples) else 0
            yield series.merged(samples, fresh[:reach]) if reach else samples
            fresh = fresh[reach:]
        yield fresh

    async def _again(self, snapshot: Snapshot) -> Snapshot:
        now = await self.get(snapshot.id)
        if now is None:
            raise SeriesGone("the series was deleted while it was read")
        return now

    async def _find(self, where: Document) -> Document | None:
        async with self._read_turns:
            with read_errors():
                return await self._read_roots.find_one(where)


def _of(owner: Owner | Everyone, search: str = "") -> Document:
    return ({} if owner is EVERYONE else {"owner": owner}) | ({"name": contains(search)} if search else {})
