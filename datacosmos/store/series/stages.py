"""Collection `stages`: chunks on their way in or out, so that nothing a crash leaves behind is forgotten.

{_id, at}                being written: once old, it is what a crash left behind
{_id, at, replaced}      settled: these chunks of an older version are to go
{_id, at, abandoned}     taken for left behind: whatever it wrote is to go
{_id, at, series, deletion}  a deleted series: all its chunks are to go; by which request it was deleted
"""

from collections.abc import Iterator, Sequence

import numpy as np
from bson import ObjectId

from datacosmos.domain import metrics, series
from datacosmos.domain.series import CHUNK, Samples
from datacosmos.store.mongo.connection import Database, Document, bounded, store_errors
from datacosmos.store.mongo.transactions import Conflict, Session
from datacosmos.store.series.chunks import AT_ONCE, ENTRY, PAGE, Chunks, Entries, entry_ids, off_loop, to_fields


class Stage:
    """New chunks on their way into the directory of a series: nobody sees them before `settle` commits.

    All their ids begin with the stage's own, so that what a crash leaves behind is found by its document.
    """

    def __init__(self, database: Database, chunks: Chunks) -> None:
        self._stages, self._chunks = database["stages"], chunks
        self._id, self._count, self._waiting = ObjectId(), 0, list[Document]()
        self._replaced: list[bytes] = []
        self._is_begun = False

    @property
    def used(self) -> bool:
        return self._count > 0

    async def graft(self, owner: str, pages: Entries, points: Samples) -> Entries:
        """The pages of a series with new points merged in; what was there wins."""
        if not len(pages):
            return await self._paged(owner, await self._chunked(owner, points, CHUNK), PAGE)
        grafted: list[Entries] = []
        for index, share in _shares(pages, points):
            last = index == len(pages) - 1
            if not len(share):
                grafted.append(pages[index : index + 1])
                continue
            entries = await self._graft_page(owner, pages[index : index + 1], share, last)
            grafted.append(await self._paged(owner, entries, PAGE if last else series.even_size(len(entries), PAGE)))
        return np.concatenate(grafted)

    async def _graft_page(self, owner: str, page: Entries, points: Samples, last: bool) -> Entries:
        self._replaced += entry_ids(page)
        entries = await self._chunks.entries(page)
        grafted: list[Entries] = []
        for index, share in _shares(entries, points):
            entry = entries[index : index + 1]
            if not len(share):
                grafted.append(entry)
                continue
            [stored] = await self._chunks.samples(entry)
            self._replaced += entry_ids(entry)
            both = series.merged(stored, share)
            full = last and index == len(entries) - 1
            grafted.append(await self._chunked(owner, both, CHUNK if full else series.even_size(len(both), CHUNK)))
        return np.concatenate(grafted)

    async def _chunked(self, owner: str, points: Samples, size: int) -> Entries:
        runs = series.cut(points, size)
        entries = np.zeros(len(runs), ENTRY)
        summaries = await off_loop(len(points), metrics.summarise, points.v, size)
        for name in metrics.SUMMARY.names or ():
            entries[name] = summaries[name]
        for index, run in enumerate(runs):
            identifier = await self._write(owner, to_fields(run))
            entries["from"][index], entries["to"][index], entries["id"][index] = run.t[0], run.t[-1], identifier
        return entries

    async def _paged(self, owner: str, entries: Entries, size: int) -> Entries:
        runs = [entries[first : first + size] for first in range(0, len(entries), size)]
        pages = np.zeros(len(runs), ENTRY)
        for index, run in enumerate(runs):
            whole = metrics.merge(run)
            for name in metrics.SUMMARY.names or ():
                pages[name][index] = whole[name][0]
            identifier = await self._write(owner, {"entries": run.tobytes()})
            pages["from"][index], pages["to"][index], pages["id"][index] = run["from"][0], run["to"][-1], identifier
        return pages

    async def _write(self, owner: str, content: Document) -> np.void:
        self._count += 1
        identifier = self._id.binary + self._count.to_bytes(4, "big")
        self._waiting.append({"_id": identifier, "series": owner, **content})
        if len(self._waiting) >= AT_ONCE * 4:
            await self._flush()
        return np.void(identifier)

    async def flush(self) -> None:
        """What would be much for one transaction is stored when this returns; the rest is the commit's."""
        if self._is_begun or len(self._waiting) > AT_ONCE:
            await self._flush()

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        with bounded(self._stages.database):
            if not self._is_begun:
                await self._stages.update_one({"_id": self._id}, {"$currentDate": {"at": True}}, upsert=True)
                self._is_begun = True
            if waiting:
                await self._chunks.collection.insert_many(waiting, ordered=False)

    async def settle(self, session: Session) -> None:
        """Part of the commit: the new chunks are here to stay, and the replaced ones to go.

        Raises Conflict where the chunks were reclaimed because they were taken for left behind.
        """
        changes = {"$set": {"replaced": self._replaced}, "$currentDate": {"at": True}}
        if not self._is_begun:
            await self._chunks.collection.insert_many(self._waiting, ordered=False, session=session)
            await self._stages.update_one({"_id": self._id}, changes, upsert=True, session=session)
            return
        where = {"_id": self._id, "replaced": None, "abandoned": None}
        if not (await self._stages.update_one(where, changes, session=session)).matched_count:
            raise Conflict


def _shares(entries: Entries, points: Samples) -> Iterator[tuple[int, Samples]]:
    """Each entry with the points from its beginning to that of the next; the first takes what is earlier, too."""
    edges = np.searchsorted(points.t, entries["from"][1:]).tolist()
    for index, (first, last) in enumerate(zip([0, *edges], [*edges, len(points)], strict=True)):
        yield index, points[first:last]


async def leave_to_sweep(database: Database, owner: str, deletion: str, session: Session) -> None:
    """Part of the deletion of a series: its chunks are to go."""
    changes: Document = {"$set": {"series": owner, "deletion": deletion}, "$currentDate": {"at": True}}
    await database["stages"].update_one({"_id": owner}, changes, upsert=True, session=session)


async def is_left_to_sweep(database: Database, owner: str, deletion: str, session: Session) -> bool:
    """Whether this deletion has happened."""
    return await database["stages"].find_one({"_id": owner, "deletion": deletion}, session=session) is not None


async def reclaim(database: Database, keep_seconds: float) -> int:
    """Deletes chunks that no series leads to, once they are older than `keep_seconds`; how many there were.

    Any number of processes may do so at once, however slow a writer is: a stage is settled or abandoned, never both.
    """
    stages, chunks = database["stages"], database["chunks"]
    old: Document = {"$expr": {"$lte": ["$at", {"$subtract": ["$$NOW", int(keep_seconds * 1000)]}]}}
    ends = ("replaced", "abandoned", "series")
    removed = 0
    with store_errors():
        await stages.update_many(dict.fromkeys(ends) | old, {"$set": {"abandoned": True}})
        async for stage in stages.find({"$or": [{end: {"$exists": True}} for end in ends]} | old):
            for where in _rubbish(stage):
                with bounded(database):  # what is left of it is for the next time
                    removed += (await chunks.delete_many(where)).deleted_count
            await stages.delete_one({"_id": stage["_id"]})
    return removed


def _rubbish(stage: Document) -> Sequence[Document]:
    if "series" in stage:
        return [{"series": stage["series"]}]
    if "abandoned" in stage:
        first, last = (stage["_id"].binary + edge * 4 for edge in (b"\x00", b"\xff"))
        return [{"_id": {"$gte": first, "$lte": last}}]
    replaced: list[bytes] = stage["replaced"]
    return [{"_id": {"$in": replaced[first : first + 1000]}} for first in range(0, len(replaced), 1000)]
