"""Fields of many documents as columns, taken from their bytes by NumPy: no document is made an object.

There is a place for each document, and all of them move on from one element to the next together.
"""

# pyright: reportUnknownVariableType=false

import struct
from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
from bson import decode
from numpy.typing import NDArray

from datacosmos.domain.columns import Column, Table

Places = NDArray[np.int64]


class Kind(IntEnum):
    """Of a value, as BSON numbers them; NONE is the end of a document, and of a value that is not there."""

    NONE = 0
    DOUBLE = 1
    STRING = 2
    ARRAY = 4
    BINARY = 5
    DATE = 9
    NULL = 10
    INT = 16
    LONG = 18


FIXED, COUNTED = np.zeros((2, 256), np.int64)
"""Bytes of a value by its kind, beside those that its length counts; and whether it has a length."""
FIXED[[Kind.DOUBLE, Kind.STRING, Kind.BINARY, Kind.DATE, Kind.INT, Kind.LONG]] = [8, 4, 5, 8, 4, 8]
COUNTED[[Kind.STRING, Kind.ARRAY, Kind.BINARY]] = 1
KNOWN = {*map(int, Kind)} - {Kind.NONE}
PADDING = bytes(8)
SIZE = struct.Struct("<i")


class Walk:
    """Over documents in a BSON array; `next` gives the columns in the order in which the documents have them."""

    def __init__(self, array: memoryview) -> None:
        self._array = b"".join((array, PADDING))
        self._bytes = np.frombuffer(self._array, np.uint8)
        self._ints = np.ndarray((len(array),), "<i4", self._array, strides=(1,))
        self._words = np.ndarray((len(array),), "<u8", self._array, strides=(1,))
        self._at = self._starts() + 4

    def __len__(self) -> int:
        return len(self._at)

    def next(self, name: str) -> Column | None:
        """Its values, or a list with None for each that is null or not there; None where they are of mixed kinds."""
        head = name.encode() + b"\0"
        kinds, begin = self._bytes[self._at], self._at + 1 + len(head)
        is_named = self._is(self._at + 1, head)
        kind = int(kinds[0])
        if not (is_named.all() and (kinds == kind).all()):
            return self._next_of_some(np.where(is_named, kinds, Kind.NONE), begin)
        size = self._sizes(kinds, begin)
        self._at = begin + size
        return None if kind not in KNOWN else self._read(kind, begin, size)

    def _next_of_some(self, kinds: NDArray[np.uint8], begin: Places) -> Column | None:
        begin = np.where(kinds == Kind.NONE, self._at, begin)
        size = self._sizes(kinds, begin)
        self._at = begin + size
        is_there = (kinds != Kind.NONE) & (kinds != Kind.NULL)
        found = set(kinds[is_there].tolist())
        if len(found) > 1 or not found <= KNOWN:
            return None
        column = np.full(len(kinds), None, object)
        for kind in found:
            values = self._read(kind, begin[is_there], size[is_there])
            column[is_there] = np.fromiter(values if isinstance(values, list) else values.tolist(), object, len(values))
        return column.tolist()

    def _sizes(self, kinds: NDArray[np.uint8], begin: Places) -> Places:
        return FIXED[kinds] + COUNTED[kinds] * self._ints[np.minimum(begin, len(self._ints) - 1)]

    @property
    def is_over(self) -> bool:
        """Whether each document has ended."""
        return not self._bytes[self._at].any()

    def _is(self, at: Places, text: bytes) -> NDArray[np.bool_]:
        same = np.ones(len(at), np.bool_)
        for offset in range(0, len(text), 8):
            part = text[offset : offset + 8]
            mask = np.uint64((1 << 8 * len(part)) - 1)
            place = np.minimum(at + offset, len(self._words) - 1)
            same &= self._words[place] & mask == np.uint64(int.from_bytes(part, "little"))
        return same

    def _read(self, kind: int, begin: Places, size: Places) -> Column:
        read = READ.get(kind)
        return [None] * len(begin) if read is None else read(self, begin, size)

    def doubles(self, begin: Places, _: Places) -> Column:
        return self._words[begin].view(np.float64)

    def times(self, begin: Places, _: Places) -> Column:
        return self._words[begin].view("M8[ms]")

    def ints(self, begin: Places, _: Places) -> Column:
        return self._ints[begin].astype(np.int64)

    def longs(self, begin: Places, _: Places) -> Column:
        return self._words[begin].view(np.int64)

    def payloads(self, begin: Places, size: Places) -> Column:
        return self._slices(begin + 5, size - 5)

    def arrays(self, begin: Places, size: Places) -> Column:
        return [*map(cache(_array), self._slices(begin, size))]  # the same ones come again and again

    def texts(self, begin: Places, size: Places) -> Column:
        """All decoded at once, which no loop is as quick as; each has a zero at its end."""
        begin, size, width = begin + 4, size - 4, int(size[0]) - 4
        if (size == width).all():
            joined = np.ndarray((len(self._array) - width,), f"V{width}", self._array, strides=(1,))[begin].tobytes()
        else:
            joined = b"".join(self._slices(begin, size))
        texts = joined.decode().split("\0")
        if len(texts) == len(begin) + 1:
            return texts[:-1]
        return [each[:-1].decode() for each in self._slices(begin, size)]  # some hold zeros

    def _slices(self, begin: Places, size: Places) -> list[bytes]:
        array = self._array
        return [array[start:end] for start, end in zip(begin.tolist(), (begin + size).tolist(), strict=True)]

    def _starts(self) -> Places:
        """Where the documents begin: each stands behind a type, a key of digits and a zero."""
        found: list[Places] = []
        position, digits, number, end = 4, 1, 0, len(self._ints) - 1
        while position < end:
            most, stride = 10**digits - number, int(self._ints[position + digits + 2]) + digits + 2
            places = np.arange(position + digits + 2, end, stride)[:most]
            is_alike = self._ints[places] == stride - digits - 2
            if not is_alike.all():
                places = np.array(self._one_by_one(position, digits, most, end))
            found.append(places)
            position, number, digits = int(places[-1] + self._ints[places[-1]]), 10**digits, digits + 1
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _one_by_one(self, position: int, digits: int, most: int, end: int) -> list[int]:
        found: list[int] = []
        array, size_at = self._array, SIZE.unpack_from
        while position < end and len(found) < most:
            position += digits + 2
            found.append(position)
            position += size_at(array, position)[0]
        return found


READ: dict[int, Callable[[Walk, Places, Places], Column]] = {
    Kind.DOUBLE: Walk.doubles,
    Kind.STRING: Walk.texts,
    Kind.ARRAY: Walk.arrays,
    Kind.BINARY: Walk.payloads,
    Kind.DATE: Walk.times,
    Kind.INT: Walk.ints,
    Kind.LONG: Walk.longs,
}


def _array(raw: bytes) -> tuple[Any, ...]:
    return tuple(decode(raw).values())


def walk(array: memoryview, names: Iterable[str]) -> Table | None:
    """Fields of documents that have no others, in the order in which they have them; None where it can't be done so."""
    walking = Walk(array)
    found: dict[str, Column] = {}
    for name in names if len(walking) else ():
        column = walking.next(name)
        if column is None:
            return None
        found[name] = column
    return Table(len(walking), found) if found and walking.is_over else None
