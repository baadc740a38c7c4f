"""What is summed up: the accepted points of a series, and the discards of a source, of one series or of all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain import discards, summaries
from datacosmos.domain.summaries import DAY, HOUR, MINUTE
from datacosmos.store.mongo.connection import Document

Rows = NDArray[np.void]
"""Parts of accepted points, or counts of discards: each has `at`, microseconds since the epoch, and `n`."""


@dataclass(frozen=True, slots=True)
class DiscardsOf:
    """By when they were received; None is all series, and what has none."""

    source: str
    series: str | None


Key = str | DiscardsOf
"""A series is itself the key of its accepted points."""
Span = tuple[Key, int]
"""What is summed up, and when the day or the hour of it begins, in microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Level:
    """A document spans `size` microseconds, each of its rows `part`."""

    name: str
    size: int
    part: int
    row: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """`gathered` makes one of all rows with the same `at`, which must stand side by side, by their new ones."""

    hours: Level
    days: Level
    gathered: Callable[[Rows, NDArray[np.int64]], Rows]
    complete: str
    """The document that says that all of them are summarised or marked."""
    reached: str

    @property
    def none(self) -> Rows:
        return np.empty(0, self.hours.row)


POINTS = Kind(
    Level("hour", HOUR, MINUTE, summaries.PART),
    Level("day", DAY, HOUR, summaries.PART),
    summaries.gathered,
    "complete",
    "reached",
)
DISCARDS = Kind(
    Level("discards of an hour", HOUR, MINUTE, discards.COUNT),
    Level("discards of a day", DAY, HOUR, discards.COUNT),
    discards.gathered,
    "discards complete",
    "discards reached",
)


def kind_of(key: Key) -> Kind:
    return POINTS if isinstance(key, str) else DISCARDS


def to_stored(key: Key) -> str | Document:
    return key if isinstance(key, str) else {"source": key.source, "series": key.series}


def to_key(stored: str | Document) -> Key:
    return stored if isinstance(stored, str) else DiscardsOf(stored["source"], stored["series"])
