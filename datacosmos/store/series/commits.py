# pyright: reportUnknownMemberType=false
"""One commit of the appends of a group: all of them, whatever their series, or none.

The version of each series guards it against other processes: whoever finds it changed looks again and repeats.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import uuid_utils
from numpy.typing import NDArray
from pymongo import InsertOne, UpdateOne
from pymongo.errors import PyMongoError

from datacosmos.domain import series
from datacosmos.domain.series import EMPTY, Samples
from datacosmos.errors import SeriesGone
from datacosmos.store.mongo.connection import ASKED_FOR, Database, Document, bounded
from datacosmos.store.mongo.transactions import Attempt, Conflict, Session, as_conflict, retry_conflicts, transaction
from datacosmos.store.series.chunks import Chunks, Entries, off_loop
from datacosmos.store.series.roots import (
    FRESH,
    MOST_FRESH,
    Snapshot,
    blank,
    bounds,
    contents,
    to_document,
    to_piece,
    to_snapshot,
)
from datacosmos.store.series.stages import Stage

FOLDS = 32  # series whose fresh points one commit puts into chunks, and more where it brings many points
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


@dataclass(slots=True)
class Change:
    """A series, and the points new to it, in order: fresh ones, but where `pages` lead to all there are."""

    before: Snapshot
    new: Samples
    pages: Entries | None = None

    @property
    def fresh(self) -> int:
        return len(self.before.fresh) + len(self.new)

    def write(self, *, guarded: bool) -> InsertOne[Document] | UpdateOne:
        """Without effect where it is guarded and the version is no longer the one before."""
        after = self._after()
        if not self.before.version:
            return InsertOne(to_document(after))
        if self.pages is None:
            changes = {"$set": bounds(after), "$push": {"pieces": to_piece(self.new)}, "$unset": {"hold": 1}}
        else:
            changes = {"$set": contents(after), "$unset": {"pieces": 1, "hold": 1}}
        guard = {"version": self.before.version} if guarded else {}
        return UpdateOne({"_id": self.before.id} | guard, changes)

    def _after(self) -> Snapshot:
        """As far as it is written: fresh points that are there already stay as they are."""
        before, first, last = self.before, int(self.new.t[0]), int(self.new.t[-1])
        return replace(
            before,
            version=before.version + 1,
            count=before.count + len(self.new),
            start=first if before.start is None else min(before.start, first),
            end=last if before.end is None else max(before.end, last),
            pages=before.pages if self.pages is None else self.pages,
            fresh=self.new if self.pages is None else EMPTY,
        )


class Commit:
    def __init__(self, database: Database, chunks: Chunks, writer: str, group: Sequence[Points]) -> None:
        self._database, self._roots, self._chunks = database, database["series"], chunks
        self._writer, self._group = writer, group

    async def run(self) -> list[Appended | Exception]:
        """The outcome of each append."""
        return await retry_conflicts(self._attempt)

    async def _attempt(self, attempt: Attempt) -> list[Appended | Exception]:
        if attempt.losses >= LOSSES:
            await self._hold()
        shares = await self._shares()
        stored = np.zeros(len(self._group), np.int64)
        changes = list[Change]()
        for share in shares:
            await asyncio.sleep(0)  # there may be thousands: let others have their turn
            new, appends = await self._new(share)
            if len(new):
                np.add.at(stored, appends, 1)
                changes.append(Change(share.root, new))
        stage = Stage(self._database, self._chunks)
        await self._fold(changes, stage)
        await self._write(changes, stage, attempt.deadline)
        found = {index for share in shares for index in share.indexes}
        return [
            Appended(int(stored[index]), sum(map(len, points.values())) - int(stored[index]))
            if index in found
            else SeriesGone("the series was deleted: there is nothing to append to")
            for index, points in enumerate(self._group)
        ]

    async def _shares(self) -> list[Share]:
        """Each series of the group with the appends that have points for it, the earliest first."""
        by_name, by_id = await self._roots_of()
        shares: dict[str, Share] = {}
        for index, points in enumerate(self._group):
            for target, samples in points.items():
                if target.id is not None:
                    root = by_id.get(target.id)
                elif (root := by_name.get(target.key)) is None:
                    root = by_name[target.key] = blank(str(uuid_utils.uuid7()), target.owner, target.name)
                if root is not None:
                    share = shares.setdefault(root.id, Share(root, [], []))
                    share.indexes.append(index)
                    share.parts.append(samples)
        return [share for _, share in sorted(shares.items())]

    async def _roots_of(self) -> tuple[dict[Key, Snapshot], dict[str, Snapshot]]:
        """The roots there are. Raises Conflict while another writer keeps one to itself."""
        held = {"$and": [{"$ne": ["$hold.by", self._writer]}, {"$gt": ["$hold.until", "$$NOW"]}]}
        found = self._roots.aggregate([{"$match": self._where()}, {"$set": {"held": held}}])
        by_name, by_id = dict[Key, Snapshot](), dict[str, Snapshot]()
        async for document in found:
            if document["held"]:
                raise Conflict
            root = to_snapshot(document)
            by_name[root.owner, root.name] = by_id[root.id] = root
        return by_name, by_id

    def _where(self) -> Document:
        """What finds the series of the group."""
        names: dict[str | None, list[str | None]] = {}
        ids = list[str]()
        for target in {target for points in self._group for target in points}:
            if target.id is None:
                names.setdefault(target.owner, []).append(target.name)
            else:
                ids.append(target.id)
        return {
            "$or": [{"_id": {"$in": ids}}, *({"owner": owner, "name": {"$in": some}} for owner, some in names.items())]
        }

    async def _new(self, share: Share) -> tuple[Samples, NDArray[np.intp]]:
        """The points that the series does not have yet, in order, and the index of the append each comes from."""
        points = series.joined(share.parts)
        first = await off_loop(len(points), series.first_in_order, points.t)
        t = points.t[first]
        new = first[~(series.known(share.root.fresh.t, t) | await self._chunks.known(share.root.pages, t))]
        appends = np.repeat(np.array(share.indexes), [len(part) for part in share.parts])
        return points[new], appends[new]

    async def _fold(self, changes: Sequence[Change], stage: Stage) -> None:
        """Put fresh points into chunks, of the series that have most: as many as keep up with what comes."""
        most = FOLDS + sum(len(change.new) for change in changes) // FRESH * 2
        full = sorted((change for change in changes if change.fresh > FRESH), key=attrgetter("fresh"), reverse=True)
        for rank, change in enumerate(full):
            if rank < most or change.fresh > MOST_FRESH:
                fresh = series.merged(change.before.fresh, change.new)
                change.pages = await stage.graft(change.before.id, change.before.pages, fresh)
        await stage.flush()

    async def _write(self, changes: Sequence[Change], stage: Stage, deadline: float) -> None:
        """All changes or none; raises Conflict where one series is no longer at the version it was."""

        async def act(session: Session | None) -> None:
            if session is not None:
                await self._require_versions(changes, session)
            writes = [change.write(guarded=session is None) for change in changes]
            result = await self._roots.bulk_write(writes, session=session)
            if result.matched_count + result.inserted_count < len(changes):
                raise Conflict
            if session is not None and stage.used:
                await stage.settle(session)

        if len(changes) > 1 or stage.used:
            await transaction(self._database, act, deadline)
        elif changes:
            try:
                with bounded(self._database, ASKED_FOR):
                    await act(None)
            except PyMongoError as error:
                raise as_conflict(error) from None

    async def _require_versions(self, changes: Sequence[Change], session: Session) -> None:
        """Raises Conflict where a series changed. From here on the transaction's snapshot guards the versions:

        updates by the id alone, which MongoDB does three times as fast.
        """
        expected = {change.before.id: change.before.version for change in changes if change.before.version}
        found = self._roots.find({"_id": {"$in": list(expected)}}, {"version": 1}, session=session)
        versions = {document["_id"]: document["version"] async for document in found}
        if versions != expected:
            raise Conflict

    async def _hold(self) -> None:
        """Ask other writers to wait: whoever lost again and again has more to do than they have."""
        until = {"$add": ["$$NOW", HOLD]}
        free: Document = {"$expr": {"$not": [{"$gt": ["$hold.until", "$$NOW"]}]}}
        with bounded(self._database, ASKED_FOR):
            await self._roots.update_many(
                self._where() | free, [{"$set": {"hold": {"by": self._writer, "until": until}}}]
            )
