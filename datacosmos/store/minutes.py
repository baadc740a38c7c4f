"""Collection `minutes`: phone locations as sums per minute.

A document holds one user's minute as sent, because that is what duplicates are told by:

    {_id: {user, minute: "2017-01-01T13:05"}, minutes: [{minute, seen, duplicates, count, lat, long, ...}]}

Inside stands one element for each minute in UTC that its locations counted in: one, save where the user crossed a
border of time zones. `seen` holds the microseconds into the minute of every location counted there. The other way
round, a minute in UTC may be spread over documents, as when 13:05Z and 14:05+01:00 were sent: reading adds them up.
"""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from bson.decimal128 import Decimal128
from pymongo import IndexModel

from datacosmos.domain.minutes import CAPACITY, Folded, Location, Minute, Sums, average
from datacosmos.store.connection import Database, Document, store_errors
from datacosmos.store.finding import Finder
from datacosmos.store.folds import SUMS, Folds
from datacosmos.store.ranges import Window

INDEXES = [IndexModel({"_id.user": 1, "minutes.minute": 1}, name="user")]
TOTALS = [*SUMS, "duplicates"]
FIRST = 1000  # minutes in MongoDB's first answer
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Minutes:
    """Folds locations and reads averages. Every method raises StoreUnavailable while MongoDB is away.

    The text of no error holds anything of a location: MongoDB's own, which quotes keys, is left out.
    """

    def __init__(self, database: Database, *, capacity: int = CAPACITY) -> None:
        self._collection = database["minutes"]
        self._finder = Finder(self._collection)
        self._folds = Folds(database, capacity)

    async def prepare(self) -> None:
        """Make the indexes."""
        with store_errors():
            await self._collection.create_indexes(INDEXES)

    async def fold(self, location: Location) -> Folded:
        """Count a location in its minute, durably; or as a duplicate, in the minute of the one that it repeats.

        FULL where its minute as sent holds as many as it may; a duplicate of one of those is told all the same.
        """
        return await self._folds.fold(location)

    def read(self, user_id: str, window: Window, *, limit: int) -> AsyncGenerator[list[Minute]]:
        """The first of a user's minutes that begin within the window, ascending, in pages as Points gives them."""
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
        command: Document = {
            "aggregate": self._collection.name,
            "pipeline": pipeline,
            "cursor": {"batchSize": min(FIRST, limit)},
        }
        return self._finder.pages(command, _minute)


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
