"""Locations folded as a group: whatever waits goes into one transaction, which costs little more than one of them.

What becomes of each is decided from what the transaction read. MongoDB ends it where another writer changed any of
that meanwhile, and it is tried again: no two writers can take a location for the first of its like.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import NamedTuple

from bson.decimal128 import Decimal128
from pymongo import InsertOne, UpdateOne
from pymongo.errors import OperationFailure

from datacosmos.bounds import Bound
from datacosmos.domain.minutes import Folded, HeldMinute, Location, MinuteAsSent, Sums, sums_of
from datacosmos.errors import DatacosmosError
from datacosmos.store.mongo.connection import Database, Document
from datacosmos.store.mongo.group_commit import GroupCommit, Limits
from datacosmos.store.mongo.transactions import Attempt, Session, retry_conflicts, transaction

GROUP = 500  # locations in one transaction
MOST_IN_HAND = 10_000
SUMS = [field.name for field in fields(Sums)]

Write = InsertOne[Document] | UpdateOne


class Key(NamedTuple):
    """What makes a document: a user's minute as sent."""

    user: str
    minute: str


class Folds:
    """The folds of one process, a group at a time."""

    def __init__(self, database: Database, capacity: int) -> None:
        self._database, self._collection, self._capacity = database, database["minutes"], capacity
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
        outcomes: list[Folded] = []

        async def act(session: Session) -> None:
            sent = await self._read(group, session)
            stored = {key: len(minute.held) for key, minute in sent.items()}
            outcomes[:] = [
                sent.setdefault(_key(location), MinuteAsSent()).fold(location, self._capacity) for location in group
            ]
            if writes := [write for key, minute in sent.items() for write in _writes(key, minute, stored.get(key, 0))]:
                await self._collection.bulk_write(writes, ordered=False, session=session)

        await transaction(self._database, act, attempt.deadline)
        return outcomes

    async def _read(self, group: Sequence[Location], session: Session) -> dict[Key, MinuteAsSent]:
        """The documents there are, with those of the group's offsets that they have seen."""
        keys = {_key(location) for location in group}
        offsets = list({location.offset for location in group})
        held = {"minute": "$$m.minute", "count": "$$m.count", "seen": {"$setIntersection": ["$$m.seen", offsets]}}
        pipeline: list[Document] = [
            {"$match": {"_id": {"$in": [key._asdict() for key in keys]}}},
            {"$set": {"minutes": {"$map": {"input": "$minutes", "as": "m", "in": held}}}},
        ]
        found = self._collection.aggregate(pipeline, session=session)
        return {Key(**document["_id"]): _minute_as_sent(document["minutes"]) async for document in found}


def _key(location: Location) -> Key:
    return Key(location.user_id, location.minute_as_sent)


def _minute_as_sent(elements: Sequence[Document]) -> MinuteAsSent:
    held = [HeldMinute(element["minute"]) for element in elements]
    seen = {offset: minute for minute, element in zip(held, elements, strict=True) for offset in element["seen"]}
    return MinuteAsSent(sum(element["count"] for element in elements), held, seen)


def _writes(key: Key, minute: MinuteAsSent, stored: int) -> Iterator[Write]:
    """What there is to write of a document of which so many elements are stored; of new ones, the document."""
    if not stored and minute.held:
        yield InsertOne({"_id": key._asdict(), "minutes": [_element(held) for held in minute.held]})
        return
    increments: Document = {}
    offsets: Document = {}
    for number, held in enumerate(minute.held[:stored]):
        if held.duplicates:
            increments[f"minutes.{number}.duplicates"] = held.duplicates
        if held.added:
            increments |= {f"minutes.{number}.{name}": amount for name, amount in _sums(held).items()}
            offsets[f"minutes.{number}.seen"] = {"$each": _offsets(held)}
    elements = {f"minutes.{number}": _element(held) for number, held in enumerate(minute.held[stored:], stored)}
    update = {"$inc": increments, "$push": offsets, "$set": elements}
    if changes := {operator: change for operator, change in update.items() if change}:
        yield UpdateOne({"_id": key._asdict()}, changes)


def _element(held: HeldMinute) -> Document:
    return {"minute": held.minute, "seen": _offsets(held), "duplicates": held.duplicates, **_sums(held)}


def _offsets(held: HeldMinute) -> list[int]:
    return [location.offset for location in held.added]


def _sums(held: HeldMinute) -> Document:
    sums = sums_of(*held.added)
    amounts = {name: getattr(sums, name) for name in SUMS}
    return {name: Decimal128(amount) if isinstance(amount, Decimal) else amount for name, amount in amounts.items()}
