"""Collection `minutes`: phone locations as sums per minute.

A document holds one user's minute as sent, because that is what duplicates are told by:

    {_id: {user, minute: "2017-01-01T13:05"}, minutes: [{minute, seen, duplicates, count, lat, long, ...}]}

Inside stands one element for each minute in UTC that its locations counted in: one, save where the user crossed a
border of time zones. `seen` holds the microseconds into the minute of every location counted there. The other way
round, a minute in UTC may be spread over documents, as when 13:05Z and 14:05+01:00 were sent: reading adds them up.
"""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.results import UpdateResult

from datacosmos.domain.minutes import CAPACITY, Folded, Location, Minute, Sums, average, sums_of
from datacosmos.errors import DatacosmosError
from datacosmos.store.connection import Database, Document, store_errors
from datacosmos.store.points import Window

INDEXES = [IndexModel({"_id.user": 1, "minutes.minute": 1}, name="user")]
SUMS = [field.name for field in fields(Sums)]
TOTALS = [*SUMS, "duplicates"]
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# A document's elements, and what they count together; none in a document that is still to be made.
MINUTES: Document = {"$ifNull": ["$minutes", []]}
COUNT: Document = {"$sum": "$minutes.count"}


class Minutes:
    """Folds locations and reads averages. Every method raises StoreUnavailable while MongoDB is away.

    The text of no error holds anything of a location: MongoDB's own, which quotes keys, is left out.
    """

    def __init__(self, database: Database, *, capacity: int = CAPACITY) -> None:
        self._collection = database["minutes"]
        self._capacity = capacity

    async def prepare(self) -> None:
        """Make the indexes."""
        with store_errors():
            await self._collection.create_indexes(INDEXES)

    async def fold(self, location: Location) -> Folded:
        """Count a location in its minute, durably; or as a duplicate, in the minute of the one that it repeats.

        FULL where its minute as sent holds as many as it may; a duplicate of one of those is told all the same.
        """
        key = {"user": location.user_id, "minute": location.minute_as_sent}
        result = await self._update({"_id": key}, _folded(location, self._capacity), upsert=True)
        if result.modified_count or result.upserted_id is not None:
            return Folded.STORED
        # A duplicate stays one, and a full minute full: nothing that comes in between changes which of them it is.
        repeated = {"_id": key, "minutes.seen": location.offset}
        counted = {"$inc": {"minutes.$[winner].duplicates": 1}}
        result = await self._update(repeated, counted, array_filters=[{"winner.seen": location.offset}])
        return Folded.DUPLICATE if result.matched_count else Folded.FULL

    async def read(self, user_id: str, window: Window, *, limit: int) -> list[Minute]:
        """The first of a user's minutes that begin within the window, ascending."""
        within = _bounds(window)
        pipeline: list[Document] = [
            {"$match": {"_id.user": user_id, "minutes": {"$elemMatch": {"minute": within}}}},
            {"$project": {"minutes.seen": 0}},
            {"$unwind": "$minutes"},
            {"$match": {"minutes.minute": within}},
            {"$group": {"_id": "$minutes.minute"} | {name: {"$sum": f"$minutes.{name}"} for name in TOTALS}},
            {"$sort": {"_id": 1}},
            {"$limit": limit},
        ]
        with store_errors():
            documents = await self._collection.aggregate(pipeline).to_list(length=limit)
        return [_minute(document) for document in documents]

    async def _update(self, where: Document, update: Document | list[Document], **options: Any) -> UpdateResult:
        # Not find_one_and_update: of one that races with another's upsert MongoDB logs the key and all values, and of
        # each it writes away the document as it was, for the driver's retries: a fifth of its time.
        while True:
            try:
                with store_errors():
                    return await self._collection.update_one(where, update, **options)
            except DuplicateKeyError:
                continue  # another caller made the document in between: now it is there
            except OperationFailure as error:
                raise DatacosmosError(f"MongoDB refused to fold a location: code {error.code}") from None


def _folded(location: Location, capacity: int) -> list[Document]:
    """What one location makes of its document, of whatever state: one update, so that none of many at once is lost."""
    here: Document = {"$eq": ["$$m.minute", location.minute]}
    repeated: Document = {"$in": [location.offset, "$$m.seen"]}
    branches = [
        {"case": {"$or": [_any(repeated), {"$gte": [COUNT, capacity]}]}, "then": "$minutes"},
        {"case": _any(here), "then": _changed(here, _added(location))},
    ]
    return [{"$set": {"minutes": {"$switch": {"branches": branches, "default": _appended(location)}}}}]


def _any(condition: Document) -> Document:
    """Whether the condition holds for `m`, one of the elements."""
    return {"$anyElementTrue": [{"$map": {"input": MINUTES, "as": "m", "in": condition}}]}


def _changed(condition: Document, changes: Document) -> Document:
    """The elements, with changes to the one that the condition holds for."""
    element = {"$cond": [condition, {"$mergeObjects": ["$$m", changes]}, "$$m"]}
    return {"$map": {"input": MINUTES, "as": "m", "in": element}}


def _added(location: Location) -> Document:
    added: Document = {name: {"$add": [f"$$m.{name}", amount]} for name, amount in _sums(location).items()}
    return added | {"seen": {"$concatArrays": ["$$m.seen", [location.offset]]}}


def _appended(location: Location) -> Document:
    element = {"minute": location.minute, "seen": [location.offset], "duplicates": 0, **_sums(location)}
    return {"$concatArrays": [MINUTES, [element]]}


def _sums(location: Location) -> Document:
    return {
        name: Decimal128(amount) if isinstance(amount, Decimal) else amount
        for name, amount in asdict(sums_of(location)).items()
    }


def _bounds(window: Window) -> Document:
    start, end = window.start or EARLIEST, window.end or LATEST
    # The driver rounds down to milliseconds: a start between two of them lies after the one it is rounded to.
    return {"$gt" if start.microsecond % 1000 else "$gte": start, "$lte": end}


def _minute(document: Document) -> Minute:
    sums: Document = {name: document[name] for name in SUMS}
    for name, amount in sums.items():
        if isinstance(amount, Decimal128):
            sums[name] = amount.to_decimal()
    return average(document["_id"], Sums(**sums), document["duplicates"])
