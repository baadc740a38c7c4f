"""Collection `minutes`: phone locations as sums per minute.

A document holds one user's minute as sent, because that is what duplicates are told by:

    {_id: {user, minute: "2017-01-01T13:05"}, minutes: [{minute, seen, duplicates, count, lat, long, west, ...}]}

Inside stands one element for each minute in UTC that its locations counted in: one, save where the user crossed a
border of time zones. `seen` holds the microseconds into the minute of every location counted there. The other way
round, a minute in UTC may be spread over documents, as when 13:05Z and 14:05+01:00 were sent: reading adds them up.
"""

import struct
from collections.abc import AsyncGenerator, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple

from bson.decimal128 import Decimal128
from pymongo import IndexModel

from datacosmos.domain.columns import Column, Table
from datacosmos.domain.minutes import CAPACITY, DIGITS, Folded, Location, Minute, Sums, average, mean_long
from datacosmos.store.minutes.folds import SUMS, Folds
from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import Database, Document, store_errors
from datacosmos.store.mongo.finding import Batches, Finder
from datacosmos.store.mongo.ranges import Window

INDEXES = [IndexModel({"_id.user": 1, "minutes.minute": 1}, name="user")]
TOTALS = [*SUMS, "duplicates"]
HALVES = struct.Struct("<QQ")
SPECIAL, COEFFICIENT, EXPONENT = 0x6000_0000_0000_0000, 0x1_FFFF_FFFF_FFFF, 6176  # of a decimal of 128 bits
FIRST = 1000  # minutes in MongoDB's first answer
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Minutes:
    """Folds locations and reads averages. Every method raises StoreUnavailable while MongoDB is unavailable.

    The text of no error holds anything of a location: MongoDB's own, which quotes keys, is left out.
    """

    def __init__(self, database: Database, *, capacity: int = CAPACITY) -> None:
        self._collection = database["minutes"]
        self._finder = Finder(database, self._collection.name)
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
        return self._finder.pages(self._command(user_id, window, TOTALS, limit), _minute)

    def find(self, user_id: str, window: Window, fields: AbstractSet[str], *, limit: int) -> Batches[Table]:
        """These fields of the same minutes, which MongoDB averages; `minute` is in UTC without saying so."""
        totals = sorted({total for name in fields for total in FIELDS[name].totals})
        command = self._command(user_id, window, totals, limit)
        names = sorted(fields, key=IN_ORDER.index)
        command["pipeline"].append({"$project": {"_id": 0} | {name: FIELDS[name].made for name in names}})

        def table(batch: Batch) -> Table:
            rows = batch.rows(names)
            columns = {name: rows.column(name) for name in names}
            finished = {name: _finish(each) for name, each in columns.items() if FIELDS[name].is_average}
            return Table(len(rows), columns | finished)

        return self._finder.read(command, table)

    def _command(self, user_id: str, window: Window, totals: Sequence[str], limit: int) -> Document:
        within = {"$gte": window.start or EARLIEST, "$lte": window.end or LATEST}
        held = {"_id": 0, "minutes.minute": 1} | {f"minutes.{name}": 1 for name in totals}
        pipeline: list[Document] = [
            {"$match": {"_id.user": user_id, "minutes": {"$elemMatch": {"minute": within}}}},
            {"$project": held},
            {"$unwind": "$minutes"},
            {"$match": {"minutes.minute": within}},
            {"$group": {"_id": "$minutes.minute"} | {name: {"$sum": f"$minutes.{name}"} for name in totals}},
            {"$sort": {"_id": 1}},
            {"$limit": limit},
        ]
        return {
            "aggregate": self._collection.name,
            "pipeline": pipeline,
            "cursor": {"batchSize": min(FIRST, limit)},
        }


def _minute(document: Document) -> Minute:
    sums = {name: _number(document[name]) for name in SUMS}
    return average(document["_id"], Sums(**sums), document["duplicates"])


def _number(total: Any) -> Any:
    """As PyMongo has it, only sooner; a sum of nothing is an int."""
    if not isinstance(total, Decimal128):
        return total
    low, high = HALVES.unpack(total.bid)
    if high & SPECIAL == SPECIAL:
        return total.to_decimal()
    number = DIGITS.scaleb(Decimal((high & COEFFICIENT) << 64 | low), (high >> 49 & 0x3FFF) - EXPONENT)
    return number.copy_negate() if high >> 63 else number


class Field(NamedTuple):
    """What a field is made from, and what MongoDB makes of it."""

    totals: Sequence[str]
    made: Any
    is_average: bool = False


def _average(name: str, count: str = "count") -> Field:
    return Field((name, count), {"$cond": [{"$gt": [f"${count}", 0]}, _quotient(name, count), None]}, is_average=True)


def _quotient(name: str, count: str) -> Document:
    """What no double is near enough to stays a decimal."""
    quotient = {"$divide": [f"${name}", f"${count}"]}
    return {"$convert": {"input": quotient, "to": "double", "onError": quotient}}


def _longitude() -> Field:
    """Of a minute on both sides of Greenwich, its sums: the shorter way from one to the other may be across 180."""
    is_mixed = {"$and": [{"$gt": ["$west", 0]}, {"$lt": ["$west", "$count"]}]}
    sums = [f"${name}" for name in LONGITUDE]
    return Field(LONGITUDE, {"$cond": [is_mixed, sums, _average("long").made]}, is_average=True)


def _finish(column: Column) -> Column:
    """What MongoDB could not make doubles of is made so."""
    if isinstance(column, list) and not set(map(type, column)) <= {float, NoneType}:
        return [_double(value) for value in column]
    return column


def _double(value: Any) -> float | None:
    if isinstance(value, list | tuple):
        return mean_long(*map(_number, value))  # pyright: ignore[reportUnknownArgumentType]
    return float(_number(value)) if isinstance(value, Decimal128) else value


LONGITUDE = ("long", "count", "west_long", "west")
FIELDS: dict[str, Field] = {
    "minute": Field((), "$_id"),
    "lat": _average("lat"),
    "long": _longitude(),
    "accuracy": _average("accuracy"),
    "speed": _average("speed", "speeds"),
    "count": Field(("count",), 1),
    "duplicates": Field(("duplicates",), 1),
}
IN_ORDER = ["count", "duplicates", "minute", "lat", "long", "accuracy", "speed"]
"""What MongoDB makes stands behind what it only includes."""
