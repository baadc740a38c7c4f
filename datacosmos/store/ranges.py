"""Which part of a list is asked for: a range of times, and where the page before it ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from datacosmos.store.connection import Document


class Position(NamedTuple):
    """Where a page ends: the sort key of its last point (discards: time is received_at)."""

    time: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Window:
    """A range of times, both ends inclusive, each open where None."""

    start: datetime | None = None
    end: datetime | None = None


def ranges(where: Document, key: str, window: Window, after: Position | None) -> Document:
    """A window, or what is left of it after a position: two ranges at the top level, so that an index serves both."""
    bounds: Document = {}
    if window.start is not None:
        # The driver rounds down to MongoDB's milliseconds, which would let in what lies before.
        bounds["$gt" if window.start.microsecond % 1000 else "$gte"] = window.start
    if window.end is not None:
        bounds["$lte"] = window.end
    if after is None or (window.start is not None and after.time < window.start):
        return where | ({key: bounds} if bounds else {})
    rest = {"$gt": after.time} | ({"$lte": window.end} if window.end else {})
    if window.end is not None and after.time > window.end:
        return where | {key: rest}  # nothing
    return {"$or": [where | {key: after.time, "_id": {"$gt": after.id}}, where | {key: rest}]}
