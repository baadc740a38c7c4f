# pyright: reportUnknownMemberType=false
"""One commit of the appends of a group: all of them, whatever their series, or none.

The version of each series guards it against other processes: who finds it changed looks again and repeats.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import uuid_utils
from numpy.typing import NDArray
from pymongo import InsertOne, UpdateOne
from pymongo.errors import PyMongoError

from datacosmos.domain import series
from datacosmos.domain.series import EMPTY, Samples
from datacosmos.errors import SeriesGone
from datacosmos.store.chunks import Chunks, off_loop
from datacosmos.store.connection import Database, Document
from datacosmos.store.roots import FRESH, Snapshot, blank, contents, to_document, to_snapshot
from datacosmos.store.stages import Stage
from datacosmos.store.transactions import Conflict, Session, Try, insist, passing, transaction

HOLD = 3000  # milliseconds that a writer who lost too often keeps others waiting
LOSSES = 3

Key = tuple[str | None, str | None]


class Target(NamedTuple):
    """A series to append to: by its id, or by its owner's name for it, and then made where there is none."""

    owner: str | None
    name: str | None
    id: str | None = None

    @property
    def key(self) -> Key:
        """The same for all targets that may be the same series."""
        return (self.owner, self.name) if self.name is not None else (None, self.id)


class Appended(NamedTuple):
    """How many points of a request were stored, and how many had been there before."""

    stored: int
    already: int


Points = dict[Target, Samples]


class Share(NamedTuple):
    """A series, and the parts of a group's points that belong to it, by the index of their append."""

    root: Snapshot
    indexes: list[int]
    parts: list[Samples]


@dataclass
class Change:
    """A series before and after a commit."""

    before: Snapshot
    after: Snapshot

    @property
    def write(self) -> InsertOne[Document] | UpdateOne:
        if not self.before.version:
            return InsertOne(to_document(self.after))
        where = {"_id": self.before.id, "version": self.before.version}
        return UpdateOne(where, {"$set": self._changed(), "$unset": {"hold": 1}})

    def _changed(self) -> Document:
        old = contents(self.before)
        return {name: value for name, value in contents(self.after).items() if value != old[name]}


class Commit:
    def __init__(self, database: Database, chunks: Chunks, writer: str, group: Sequence[Points]) -> None:
        self._database, self._roots, self._chunks = database, database["series"], chunks
        self._writer, self._group = writer, group

    async def run(self) -> list[Appended | Exception]:
        """The outcome of each append."""
        return await insist(self._attempt)

    async def _attempt(self, attempt: Try) -> list[Appended | Exception]:
        if attempt.losses >= LOSSES:
            await self._hold()
        shares = await self._shares()
        stored = np.zeros(len(self._group), np.int64)
        stage = Stage(self._database, self._chunks)
        changes = list[Change]()
        for root, indexes, parts in shares:
            await asyncio.sleep(0)  # there may be thousands: let others have their turn
            after, counts = await self._appended(root, indexes, parts, stage)
            if counts.any():
                stored += counts
                changes.append(Change(root, after))
        await stage.flush()
        await self._write(changes, stage, attempt.deadline)
        found = {index for _, indexes, _ in shares for index in indexes}
        return [
            Appended(int(stored[index]), sum(map(len, points.values())) - int(stored[index]))
            if index in found
            else SeriesGone("the series was deleted: there is nothing to append to")
            for index, points in enumerate(self._group)
        ]

    async def _shares(self) -> list[Share]:
        """Each series of the group with the appends that have points for it, the earliest first."""
        by_name, by_id = await self._roots_of({target for points in self._group for target in points})
        shares: dict[str, Share] = {}
        for index, points in enumerate(self._group):
            for target, samples in points.items():
                if target.id is not None:
                    root = by_id.get(target.id)
                else:
                    fresh = blank(str(uuid_utils.uuid7()), target.owner, target.name)
                    root = by_name.setdefault((target.owner, target.name), fresh)
                if root is not None:
                    share = shares.setdefault(root.id, Share(root, [], []))
                    share.indexes.append(index)
                    share.parts.append(samples)
        return [share for _, share in sorted(shares.items())]

    async def _roots_of(self, targets: Iterable[Target]) -> tuple[dict[Key, Snapshot], dict[str, Snapshot]]:
        """The roots there are. Raises Conflict while another writer keeps one to itself."""
        names: dict[str | None, list[str | None]] = {}
        for target in targets:
            if target.id is None:
                names.setdefault(target.owner, []).append(target.name)
        where: list[Document] = [{"owner": owner, "name": {"$in": some}} for owner, some in names.items()]
        where.append({"_id": {"$in": [target.id for target in targets if target.id is not None]}})
        held = {"$and": [{"$ne": ["$hold.by", self._writer]}, {"$gt": ["$hold.until", "$$NOW"]}]}
        found = self._roots.aggregate([{"$match": {"$or": where}}, {"$set": {"held": held}}])
        by_name, by_id = dict[Key, Snapshot](), dict[str, Snapshot]()
        async for document in found:
            if document["held"]:
                raise Conflict
            root = to_snapshot(document)
            by_name[root.owner, root.name] = by_id[root.id] = root
        return by_name, by_id

    async def _appended(
        self, root: Snapshot, indexes: Sequence[int], parts: Sequence[Samples], stage: Stage
    ) -> tuple[Snapshot, NDArray[np.int64]]:
        """The series with what is new of the parts, and how many points of each append that is."""
        points = series.joined(parts)
        first = await off_loop(len(points), series.first_in_order, points.t)
        t = points.t[first]
        new = first[~(series.known(root.fresh.t, t) | await self._chunks.known(root.pages, t))]
        appends = np.repeat(np.array(indexes), [len(part) for part in parts])[new]
        counts = np.bincount(appends, minlength=len(self._group))
        fresh, pages = series.merged(root.fresh, points[new]), root.pages
        if len(fresh) > FRESH:
            fresh, pages = EMPTY, await stage.graft(root.id, pages, fresh)
        after = replace(root, version=root.version + 1, count=root.count + len(new), pages=pages, fresh=fresh)
        return _bounded(after, points.t[new]), counts

    async def _write(self, changes: Sequence[Change], stage: Stage, deadline: float) -> None:
        """All changes or none; raises Conflict where one series is no longer at the version it was."""

        async def act(session: Session | None) -> None:
            result = await self._roots.bulk_write([change.write for change in changes], session=session)
            if result.matched_count + result.inserted_count < len(changes):
                raise Conflict
            if session is not None and stage.used:
                await stage.settle(session)

        if len(changes) > 1 or stage.used:
            await transaction(self._database, act, deadline)
        elif changes:
            try:
                await act(None)
            except PyMongoError as error:
                if passing(error):
                    raise Conflict from error
                raise

    async def _hold(self) -> None:
        """Ask other writers to wait: who lost again and again has more to do than they have."""
        names = [target for points in self._group for target in points]
        where = [{"_id": target.id} if target.id else {"owner": target.owner, "name": target.name} for target in names]
        until = {"$add": ["$$NOW", HOLD]}
        free: Document = {"$expr": {"$not": [{"$gt": ["$hold.until", "$$NOW"]}]}}
        await self._roots.update_many({"$or": where} | free, [{"$set": {"hold": {"by": self._writer, "until": until}}}])


def _bounded(after: Snapshot, t: NDArray[np.int64]) -> Snapshot:
    if not len(t):
        return after
    start, end = int(t[0]), int(t[-1])
    return replace(
        after,
        start=start if after.start is None else min(after.start, start),
        end=end if after.end is None else max(after.end, end),
    )
