"""How a batch of points comes into their collection, each once, however often that is tried."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from bson.errors import BSONError, InvalidDocument
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import BulkWriteError, OperationFailure

from datacosmos.domain.points import Point, Reason, Status, Verdict
from datacosmos.store.connection import Document, check_passing, store_errors
from datacosmos.store.documents import to_document

DUPLICATE_KEY = 11000
LONGEST_ERROR = 300  # characters: the driver may repeat the document
RARE = 100  # points among which there is less than one duplicate
UNFIT = (InvalidDocument, BSONError, OverflowError, UnicodeEncodeError)
"""What the driver raises for what it can't send."""
Pair = tuple[Point, Document]


class Identity(NamedTuple):
    """What no two accepted points share."""

    series: str
    time: datetime
    name: str


@dataclass(slots=True)
class Written:
    """What became of a batch: the points as stored, the ids that were there already, and why others can't be stored."""

    stored: list[Point] = field(default_factory=list[Point])
    redelivered: list[str] = field(default_factory=list[str])
    refused: dict[str, str] = field(default_factory=dict[str, str])


class Inserts:
    """Writes to the points' collection. Every method raises StoreUnavailable while MongoDB is away."""

    def __init__(self, collection: AsyncIOMotorCollection[Document]) -> None:
        self._collection = collection
        self._expects_duplicates = False
        self._under_way: dict[Identity, asyncio.Event] = {}

    async def add(self, points: Sequence[Point]) -> Written:
        """As Points.add, in rounds: who is beaten by an earlier identity comes again as a duplicate.

        For one duplicate, MongoDB inserts hundreds of others one by one. So while they are not rare, each is looked for
        before it is inserted.
        """
        written = Written()
        waiting = [(point, to_document(point)) for point in {point.id: point for point in points}.values()]
        insert = self._insert
        if self._expects_duplicates:
            with suppress(*UNFIT):  # one can't even be asked for; inserting tells which
                waiting = await self._compare(waiting, written)
                insert = self._insert_apart
        while waiting:
            waiting = await self._compare(await insert(waiting, written), written)
        duplicates = sum(point.duplicate_of is not None for point in written.stored)
        self._expects_duplicates = duplicates * RARE > len(points)
        return written

    async def _compare(self, found: Sequence[Pair], written: Written) -> list[Pair]:
        """As they are to be inserted, beside those that are stored already: a duplicate of another is a discard."""
        winners = await self._winners(found)
        remaining: list[Pair] = []
        for point, document in found:
            winner = winners.get(_identity(document))
            if winner is None:  # or gone in between: our turn
                remaining.append((point, document))
            elif winner == point.id:
                written.redelivered.append(point.id)
            else:
                verdict = Verdict((*point.verdict.reasons, Reason.DUPLICATE))
                loser = replace(point, verdict=verdict, duplicate_of=winner)
                remaining.append((loser, to_document(loser)))
        return remaining

    async def _insert_apart(self, waiting: Sequence[Pair], written: Written) -> list[Pair]:
        """As `_insert`; but of equal identities that come at once, the later are returned when the first is done."""
        done = asyncio.Event()
        ours: list[Identity] = []
        firsts: list[Pair] = []
        others: list[Pair] = []
        ahead = set[asyncio.Event]()
        for point, document in waiting:
            identity = _identity(document)
            if identity is None:
                firsts.append((point, document))
            elif identity in self._under_way:
                others.append((point, document))
                ahead.add(self._under_way[identity])
            else:
                firsts.append((point, document))
                ours.append(identity)
                self._under_way[identity] = done
        try:
            beaten = await self._insert(firsts, written) if firsts else []
        finally:
            for identity in ours:
                del self._under_way[identity]
            done.set()
        for earlier in ahead:
            await earlier.wait()
        return beaten + others

    async def _insert(self, batch: Sequence[Pair], written: Written) -> list[Pair]:
        """Insert unordered, note what became of each, and return those beaten by an earlier identity."""
        try:
            with store_errors():
                await self._collection.insert_many([document for _, document in batch], ordered=False)
        except BulkWriteError as error:
            return _sort_out(batch, error.details, written)
        except OperationFailure as error:
            # Most likely one document is too large; whichever it is, it must not block the others.
            return await self._bisect(batch, written, error)
        except UNFIT as error:
            return await self._bisect(batch, written, error)
        written.stored.extend(point for point, _ in batch)
        return []

    async def _bisect(self, batch: Sequence[Pair], written: Written, error: Exception) -> list[Pair]:
        """Insert the halves of a batch that was refused whole for one document's sake, and leave that one out."""
        if len(batch) == 1:
            written.refused[batch[0][0].id] = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
            return []
        middle = len(batch) // 2
        return [*await self._insert(batch[:middle], written), *await self._insert(batch[middle:], written)]

    async def _winners(self, found: Sequence[Pair]) -> dict[Identity | None, str]:
        """The ids of the stored points by identity, those of others at the same times among them: they are few."""
        times: defaultdict[str, list[datetime]] = defaultdict(list)
        for identity in filter(None, (_identity(document) for _, document in found)):
            times[identity.series].append(identity.time)
        if not times:
            return {}
        accepted = {"status": Status.ACCEPTED.value, "identity": {"$exists": True}}
        where = [accepted | {"series": series, "time": {"$in": times}} for series, times in times.items()]
        fields = {"series": 1, "time": 1, "identity": 1, "status": 1}
        with store_errors():
            stored = await self._collection.find({"$or": where}, fields).to_list(None)
        return {_identity(document): document["_id"] for document in stored}


def _sort_out(batch: Sequence[Pair], details: Mapping[str, Any], written: Written) -> list[Pair]:
    check_passing(details)
    failed = {error["index"]: error for error in details["writeErrors"]}
    beaten: list[Pair] = []
    for index, (point, document) in enumerate(batch):
        error = failed.get(index)
        if error is None:
            written.stored.append(point)
        elif error["code"] != DUPLICATE_KEY:
            written.refused[point.id] = f"MongoDB refused it: code {error['code']}, {error['errmsg']}"[:LONGEST_ERROR]
        elif "_id" in error["keyPattern"]:
            written.redelivered.append(point.id)
        else:
            beaten.append((point, document))
    return beaten


def _identity(document: Document) -> Identity | None:
    """None for a discard, and for a point whose source names none."""
    if document["status"] != Status.ACCEPTED.value or "identity" not in document:
        return None
    time: datetime = document["time"]
    # Whole milliseconds, as a time is that comes back from MongoDB.
    return Identity(document["series"], time.replace(microsecond=time.microsecond // 1000 * 1000), document["identity"])
