"""Which part of a list is asked for: a range of times, and where the page before it ended."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from datacosmos.store.mongo.connection import Document


class Position(NamedTuple):
    """Where a page ends: the sort key of its last point (discards: time is received_at)."""

    time: datetime
    id: str


@dataclass(slots=True)  # freezing these costs more than making them
class Window:
    """A range of times, both ends inclusive, each open where None.

    Both are cut to the precision that MongoDB keeps, so that what was sent is found by the time it was sent with.
    """

    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        self.start, self.end = self.start and as_kept(self.start), self.end and as_kept(self.end)


def as_kept(time: datetime) -> datetime:
    """As it comes back from MongoDB, which keeps whole milliseconds."""
    rest = time.microsecond % 1000
    return time.replace(microsecond=time.microsecond - rest) if rest else time


def ranges(where: Document, key: str, window: Window, after: Position | None, *, down: bool = False) -> Document:
    """A window, or what is left of it after a position: two ranges at the top level, so that an index serves both.

    `down`, the list goes backwards, and after a position means before it.
    """
    near, far = (window.end, window.start) if down else (window.start, window.end)
    beyond, up_to = ("$lt", "$gte") if down else ("$gt", "$lte")
    if after is None or (near is not None and _comes_before(after.time, near, down)):
        bounds = ({"$gte": window.start} if window.start else {}) | ({"$lte": window.end} if window.end else {})
        return where | ({key: bounds} if bounds else {})
    rest = where | {key: {beyond: after.time} | ({up_to: far} if far else {})}
    if far is not None and _comes_before(far, after.time, down):
        return rest  # nothing
    return {"$or": [where | {key: after.time, "_id": {beyond: after.id}}, rest]}


def in_any(where: Document, key: str, windows: Sequence[Window]) -> Document:
    """What lies in one of some windows: an index serves each."""
    several = [ranges(where, key, window, None) for window in windows]
    return several[0] if len(several) == 1 else {"$or": several}


def _comes_before(time: datetime, other: datetime, down: bool) -> bool:
    return time > other if down else time < other


def contains(text: str) -> Document:
    """Of a field: it has this text in it, in capitals or not; a pattern cannot hold a zero itself."""
    return {"$regex": re.escape(text).replace("\0", r"\x00"), "$options": "i"}
