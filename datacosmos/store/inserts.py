"""How a batch of points comes into their collection, each once, however often that is tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bson.errors import BSONError, InvalidDocument
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import BulkWriteError, OperationFailure

from datacosmos.domain.points import Point, Reason, Status, Verdict
from datacosmos.store.connection import Document, check_passing, store_errors
from datacosmos.store.documents import to_document

DUPLICATE_KEY = 11000
LONGEST_ERROR = 300  # characters: the driver may repeat the document
Pair = tuple[Point, Document]


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

    async def add(self, points: Sequence[Point]) -> Written:
        """As Points.add, in rounds: who is beaten by an earlier identity comes again as a duplicate."""
        written = Written()
        waiting = {point.id: (point, to_document(point)) for point in points}
        while waiting:
            beaten = await self._insert(list(waiting.values()), written)
            winners = await self._winners(beaten)
            waiting = {}
            for point, document in beaten:
                winner = winners.get(_identity(document))
                if winner == point.id:
                    written.redelivered.append(point.id)
                elif winner is None:  # gone in between: our turn
                    waiting[point.id] = point, document
                else:
                    verdict = Verdict((*point.verdict.reasons, Reason.DUPLICATE))
                    loser = replace(point, verdict=verdict, duplicate_of=winner)
                    waiting[point.id] = loser, to_document(loser)
        return written

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
        except (InvalidDocument, BSONError, OverflowError, UnicodeEncodeError) as error:
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

    async def _winners(self, beaten: Sequence[Pair]) -> dict[tuple[Any, ...], str]:
        if not beaten:
            return {}
        keys = [
            {"series": document["series"], "time": document["time"], "identity": document["identity"]}
            for _, document in beaten
        ]
        with store_errors():
            found = await self._collection.find(
                {"$or": [key | {"status": Status.ACCEPTED.value} for key in keys]},
                {"series": 1, "time": 1, "identity": 1},
                hint="identity",  # else MongoDB weighs it against `range`, for each of them
            ).to_list(length=len(keys))
        return {_identity(document): document["_id"] for document in found}


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


def _identity(document: Document) -> tuple[Any, ...]:
    time: datetime | None = document["time"]
    # Whole milliseconds, as a time is that comes back from MongoDB.
    kept = time and time.replace(microsecond=time.microsecond // 1000 * 1000)
    return document["series"], kept, document["identity"]
