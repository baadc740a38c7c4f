"""How a batch of points comes into their collection, each once, however often that is tried."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from bson.errors import BSONError, InvalidDocument
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import BulkWriteError, OperationFailure

from datacosmos.domain.points import Point, Reason, Status, Verdict
from datacosmos.errors import StoreUnavailable
from datacosmos.store.mongo.connection import Document, bounded, check_passing, start_session, store_errors, timeout_of
from datacosmos.store.mongo.ranges import as_kept
from datacosmos.store.points.documents import to_document

DUPLICATE_KEY = 11000
LONGEST_ERROR = 300  # characters: the driver may repeat the document
MOST_AT_ONCE = 1000
AT_ONE_TURN = 500  # points: some milliseconds
EACH = 0.005
"""Seconds that one document may take on a slow machine: those that are there already take MongoDB longest."""
T = TypeVar("T")
Identity = tuple[str | None, datetime | None, str]
Winners = dict[Identity | None, str | None]


@dataclass(slots=True)
class Written:
    """What became of a batch: the points as stored, the ids that were there already, and why others can't be stored."""

    stored: list[Point] = field(default_factory=list[Point])
    redelivered: list[str] = field(default_factory=list[str])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    session: Any = field(default=None, repr=False)
    """What all of it is inserted in, receipts too, until `end_session`.

    MongoDB begins no insert of a session before the one before it has ended.
    """

    @property
    def ids(self) -> set[str]:
        """Of all points that need not be looked at again."""
        return {*(point.id for point in self.stored), *self.redelivered, *self.refused}

    def end_session(self) -> None:
        """To be called once nothing is to be tried again."""
        session, self.session = self.session, None
        if session is not None:
            session.end_session()


class Inserts:
    """Writes to the points' collection. Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, collection: AsyncIOMotorCollection[Document]) -> None:
        self._collection = collection
        self._timeout = timeout_of(collection.database)
        self._most = self._at_once = max(1, min(MOST_AT_ONCE, int(self._timeout / EACH)))

    async def add(self, points: Sequence[Point], written: Written) -> None:
        """As Points.add, in rounds: what is beaten by an earlier identity comes again as a duplicate."""
        written.session = written.session or start_session(self._collection.database)
        settled = written.ids
        waiting = {point.id: point for point in points if point.id not in settled}
        while waiting:
            first, later = await _parted(waiting.values())
            begin = len(written.stored)
            beaten = await self._insert_all(first, written)
            winners: Winners = {_identity(point): point.id for point in written.stored[begin:]}
            winners |= {_identity(point): None for point in first if point.id in written.refused}
            waiting = await self._losers([*beaten, *later], winners, written)

    async def _losers(self, points: Sequence[Point], winners: Winners, written: Written) -> dict[str, Point]:
        """Those that are not stored yet, as duplicates of the winners: of those known, or of those MongoDB knows."""
        identities = [_identity(point) async for point in _by_turns(points)]
        unknown = {identity for identity in identities if identity and identity not in winners}
        winners = winners | await self._winners(list(unknown))
        waiting: dict[str, Point] = {}
        async for point, identity in _by_turns(zip(points, identities, strict=True)):
            winner = winners.get(identity)
            if winner == point.id:
                written.redelivered.append(point.id)
            elif winner is None:  # gone in between, or refused: our turn
                waiting[point.id] = point
            else:
                verdict = Verdict((*point.verdict.reasons, Reason.DUPLICATE))
                waiting[point.id] = replace(point, verdict=verdict, duplicate_of=winner)
        return waiting

    async def _insert_all(self, points: Sequence[Point], written: Written) -> list[Point]:
        """Insert some at once, and return those beaten by an earlier identity; after a failure, half as many."""
        beaten: list[Point] = []
        begin = 0
        while begin < len(points):
            batch, began = points[begin : begin + self._at_once], time.monotonic()
            try:
                beaten += await self._insert(batch, written)
            except StoreUnavailable:
                self._at_once = max(1, len(batch) // 2)
                raise
            self._adapt(time.monotonic() - began)
            begin += len(batch)
        return beaten

    def _adapt(self, seconds: float) -> None:
        """Each insert shall end well within the timeout."""
        if seconds > self._timeout / 2:
            self._at_once = max(1, self._at_once // 2)
        elif seconds < self._timeout / 4:
            self._at_once = min(self._most, self._at_once * 2)

    async def _insert(self, batch: Sequence[Point], written: Written) -> list[Point]:
        """Insert unordered, note what became of each, and return those beaten by an earlier identity."""
        documents = [to_document(point) for point in batch]
        try:
            with store_errors(), bounded(self._collection.database):
                await self._collection.insert_many(documents, ordered=False, session=written.session)
        except BulkWriteError as error:
            return _sort_out(batch, error.details, written)
        except OperationFailure as error:
            # Most likely one document is too large; whichever it is, it must not block the others.
            return await self._bisect(batch, written, error)
        except (InvalidDocument, BSONError, OverflowError, UnicodeEncodeError) as error:
            return await self._bisect(batch, written, error)
        written.stored.extend(batch)
        return []

    async def _bisect(self, batch: Sequence[Point], written: Written, error: Exception) -> list[Point]:
        """Insert the halves of a batch that was refused whole for one document's sake, and leave that one out."""
        if len(batch) == 1:
            written.refused[batch[0].id] = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
            return []
        middle = len(batch) // 2
        return [*await self._insert(batch[:middle], written), *await self._insert(batch[middle:], written)]

    async def _winners(self, identities: Sequence[Identity]) -> Winners:
        """The accepted point of each identity that has one."""
        winners: Winners = {}
        for begin in range(0, len(identities), MOST_AT_ONCE):
            some = identities[begin : begin + MOST_AT_ONCE]
            accepted = {"status": Status.ACCEPTED.value}
            keys = [accepted | {"series": series, "time": at, "identity": name} for series, at, name in some]
            with store_errors():
                found = await self._collection.find(
                    {"$or": keys},
                    {"series": 1, "time": 1, "identity": 1},
                    hint="identity",  # else MongoDB weighs it against `range`, for each of them
                ).to_list(length=len(keys))
            winners |= {(each["series"], each["time"], each["identity"]): each["_id"] for each in found}
        return winners


def _sort_out(batch: Sequence[Point], details: Mapping[str, Any], written: Written) -> list[Point]:
    check_passing(details)
    failed = {error["index"]: error for error in details["writeErrors"]}
    beaten: list[Point] = []
    for index, point in enumerate(batch):
        error = failed.get(index)
        if error is None:
            written.stored.append(point)
        elif error["code"] != DUPLICATE_KEY:
            written.refused[point.id] = f"MongoDB refused it: code {error['code']}, {error['errmsg']}"[:LONGEST_ERROR]
        elif "_id" in error["keyPattern"]:
            written.redelivered.append(point.id)
        else:
            beaten.append(point)
    return beaten


async def _by_turns(items: Iterable[T]) -> AsyncGenerator[T]:
    """Each of them; whatever else the process does gets its turn now and then, as a message may hold thousands."""
    for number, item in enumerate(items):
        if number % AT_ONE_TURN == AT_ONE_TURN - 1:
            await asyncio.sleep(0)
        yield item


async def _parted(points: Iterable[Point]) -> tuple[list[Point], list[Point]]:
    """The first of each identity, with all that have none; and those after it, which a duplicate costs MongoDB much."""
    seen: set[Identity] = set()
    first: list[Point] = []
    later: list[Point] = []
    async for point in _by_turns(points):
        identity = _identity(point)
        (later if identity in seen else first).append(point)
        if identity is not None:
            seen.add(identity)
    return first, later


def _identity(point: Point) -> Identity | None:
    """What the unique index tells accepted points by; None where it does not hold the point."""
    reading = point.reading
    if reading.identity is None or point.verdict.status is not Status.ACCEPTED:
        return None
    return reading.series, reading.time and as_kept(reading.time), reading.identity
