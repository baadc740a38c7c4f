"""Locations folded as a group: whatever waits goes into one transaction, which costs little more than one of them.

What becomes of each is decided from what the transaction read. MongoDB ends it where another writer changed any of
that meanwhile, and it is tried again: no two writers can take a location for the first of its like. Where all of a
group belongs to one document, a write guarded by what was read of that does the same without a transaction.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from typing import NamedTuple

from bson.decimal128 import Decimal128
from pymongo import InsertOne, UpdateOne
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from datacosmos.bounds import Bound
from datacosmos.domain.minutes import Folded, HeldMinute, Location, MinuteAsSent, Sums, sums_of
from datacosmos.errors import DatacosmosError
from datacosmos.store.mongo.connection import ASKED_FOR, Database, Document, bounded
from datacosmos.store.mongo.group_commit import GroupCommit, Limits
from datacosmos.store.mongo.transactions import Attempt, Conflict, Session, as_conflict, retry_conflicts, transaction

GROUP = 500  # locations in one transaction
MOST_IN_HAND = 10_000
SUMS = [field.name for field in fields(Sums)]

Write = InsertOne[Document] | UpdateOne


class Key(NamedTuple):
    """What makes a document: a user's minute as sent."""

    user: str
    minute: str


class Stored(NamedTuple):
    """Of a document: its elements, and the locations that count in them, of which there are more after each change."""

    elements: int
    locations: int


class Folds:
    """The folds of one process, a group at a time."""

    def __init__(self, database: Database, capacity: int) -> None:
        self._database, self._collection, self._capacity = database, database["minutes"], capacity
        self._durable = self._collection.with_options(read_concern=ReadConcern("majority"))
        self._groups = GroupCommit(self._commit, Bound("locations", MOST_IN_HAND, "locations"), Limits(GROUP))

    async def fold(self, location: Location) -> Folded:
        """Raises Overloaded, too."""
        return await self._groups.write(location)

    async def _commit(self, group: Sequence[Location]) -> list[Folded]:
        """What becomes of each. No error has MongoDB's own text, which quotes what was to be written."""
        try:
            return await retry_conflicts(lambda attempt: self._attempt(group, attempt))
        except OperationFailure as error:
            code = error.code
        raise DatacosmosError(f"MongoDB refused to fold a location: code {code}")  # out there, it has no context

    async def _attempt(self, group: Sequence[Location], attempt: Attempt) -> list[Folded]:
        if len({_key(location) for location in group}) == 1:
            return await self._fold_into_one(group)
        outcomes: list[Folded] = []

        async def act(session: Session) -> None:
            folded, writes = self._fold(group, await self._read(group, session), guarded=False)
            outcomes[:] = folded
            if writes:
                await self._collection.bulk_write(writes, ordered=False, session=session)

        await transaction(self._database, act, attempt.deadline)
        return outcomes

    async def _fold_into_one(self, group: Sequence[Location]) -> list[Folded]:
        """Raises Conflict where another has added to the document since it was read."""
        outcomes, writes = self._fold(group, await self._read(group), guarded=True)
        if writes:
            try:
                with bounded(self._database, ASKED_FOR):
                    result = await self._collection.bulk_write(writes)
            except PyMongoError as error:
                raise as_conflict(error) from None
            if not result.matched_count + result.inserted_count:
                raise Conflict
        return outcomes

    def _fold(
        self, group: Sequence[Location], sent: dict[Key, MinuteAsSent], *, guarded: bool
    ) -> tuple[list[Folded], list[Write]]:
        """What becomes of each, and what there is to write of that."""
        stored = {key: Stored(len(minute.held), minute.count) for key, minute in sent.items()}
        outcomes = [
            sent.setdefault(_key(location), MinuteAsSent()).fold(location, self._capacity) for location in group
        ]
        found = [_write(key, minute, stored.get(key), guarded=guarded) for key, minute in sent.items()]
        return outcomes, [write for write in found if write is not None]

    async def _read(self, group: Sequence[Location], session: Session | None = None) -> dict[Key, MinuteAsSent]:
        """The documents there are, as they are for good, with those of the group's offsets that they have seen."""
        keys = {_key(location) for location in group}
        offsets = list({location.offset for location in group})
        held = {"minute": "$$m.minute", "count": "$$m.count", "seen": {"$setIntersection": ["$$m.seen", offsets]}}
        pipeline: list[Document] = [
            {"$match": {"_id": {"$in": [key._asdict() for key in keys]}}},
            {"$set": {"minutes": {"$map": {"input": "$minutes", "as": "m", "in": held}}}},
        ]
        collection = self._collection if session else self._durable
        found = collection.aggregate(pipeline, session=session)
        return {Key(**document["_id"]): _minute_as_sent(document["minutes"]) async for document in found}


def _key(location: Location) -> Key:
    return Key(location.user_id, location.minute_as_sent)


def _minute_as_sent(elements: Sequence[Document]) -> MinuteAsSent:
    held = [HeldMinute(element["minute"]) for element in elements]
    seen = {offset: minute for minute, element in zip(held, elements, strict=True) for offset in element["seen"]}
    return MinuteAsSent(sum(element["count"] for element in elements), held, seen)


def _write(key: Key, minute: MinuteAsSent, stored: Stored | None, *, guarded: bool) -> Write | None:
    """What there is to write, if any; without effect where it is guarded and other locations count by then."""
    if stored is None:
        return InsertOne({"_id": key._asdict(), "minutes": [_element(held) for held in minute.held]})
    increments: Document = {}
    offsets: Document = {}
    for number, held in enumerate(minute.held[: stored.elements]):
        if held.duplicates:
            increments[f"minutes.{number}.duplicates"] = held.duplicates
        if held.added:
            increments |= {f"minutes.{number}.{name}": amount for name, amount in _sums(held).items()}
            offsets[f"minutes.{number}.seen"] = {"$each": _offsets(held)}
    new = enumerate(minute.held[stored.elements :], stored.elements)
    update = {
        "$inc": increments,
        "$push": offsets,
        "$set": {f"minutes.{number}": _element(held) for number, held in new},
    }
    changes = {operator: change for operator, change in update.items() if change}
    guard: Document = {"$expr": {"$eq": [{"$sum": "$minutes.count"}, stored.locations]}} if guarded else {}
    return UpdateOne({"_id": key._asdict()} | guard, changes) if changes else None


def _element(held: HeldMinute) -> Document:
    return {"minute": held.minute, "seen": _offsets(held), "duplicates": held.duplicates, **_sums(held)}


def _offsets(held: HeldMinute) -> list[int]:
    return [location.offset for location in held.added]


def _sums(held: HeldMinute) -> Document:
    sums = sums_of(*held.added)
    amounts = {name: getattr(sums, name) for name in SUMS}
    return {name: Decimal128(amount) if isinstance(amount, Decimal) else amount for name, amount in amounts.items()}
