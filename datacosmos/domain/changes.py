"""What changed in the store, in the order in which it was committed, and places in that order."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from datacosmos.domain.points import Point, Reason


class ChangeKind(StrEnum):
    ACCEPTED = "accepted"
    DISCARDED = "discarded"
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"


@dataclass(frozen=True, slots=True)
class Change:
    """A point as it was stored, or, withdrawn or reinstated, as it was judged anew.

    `mark` is its place among all that was committed: marks are texts, and a later one is greater.
    """

    kind: ChangeKind
    point: Point
    mark: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The changes of one series."""

    series: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """The discards of a source that have a reason, each any where None."""

    reason: Reason | None = None
    source: str | None = None


Topic = Accepted | Discarded
Key = tuple[datetime, str]
"""By what the past is ordered: time and id; of discards, when they were received."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader has come: whatever was committed up to `mark` has been read, as far as it lies in the past.

    `past` is the last key that was read of the past: what was committed since the mark and lies behind that key is
    still to come, by the past or after it. None: all of the past has been read.
    """

    mark: str
    past: Key | None = None


def key_of(topic: Topic, point: Point) -> Key:
    time = point.reading.time if isinstance(topic, Accepted) else None
    return time or point.received_at, point.id
