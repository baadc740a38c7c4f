"""Long lists cut into parts, with turns for others in between."""

from collections.abc import Callable, Iterable, Iterator
from time import thread_time
from typing import TypeVar

from datacosmos.domain.columns import Columns, Rows
from datacosmos.domain.points import Point
from datacosmos.domain.series import Samples
from datacosmos.slices import SLICE

T = TypeVar("T")
Long = TypeVar("Long", Columns, Rows, list[Point], Samples)
PART, FEW = 2000, 100
"""Rows that are encoded in one slice at the most, and so few that how long they take need not be known."""


class Parts:
    """Cuts lists of like rows into parts that take a slice each, by how long the ones before took."""

    def __init__(self) -> None:
        self._rows = max(1, PART // 4)

    def of(self, rows: Long) -> Iterable[Long]:
        """None where there are no rows."""
        return [rows] if 0 < len(rows) <= min(PART, self._rows) else self._cut(rows)

    def _cut(self, rows: Long) -> Iterator[Long]:
        begin, size = 0, len(rows)
        while begin < size:
            end = begin + min(PART, self._rows)
            yield rows[begin:end]
            begin = end  # after which it may be another number

    def encode(self, encode: Callable[[Long], T], part: Long) -> T:
        """Without a pause. What is left of a list, unless it takes long, tells little of how long others would."""
        if len(part) < FEW:
            return encode(part)
        began = thread_time()
        encoded = encode(part)
        seconds = max(thread_time() - began, 1e-6)
        if seconds > SLICE or len(part) >= self._rows:
            self._rows = max(1, min(PART, round(len(part) * SLICE / seconds)))
        return encoded
