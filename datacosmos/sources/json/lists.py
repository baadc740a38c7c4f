"""JSON whose lists may hold millions of items, read in slices: so little of it is held as Python objects at a time,
and others have their turn in between.

A slice ends where an item does, outside of strings. That can only be wrong inside of an item that holds others, and
then the slice is no JSON: so whatever decodes at once was cut right. What does not is read in smaller slices, and the
smallest item by item: a fault costs no more than another reading of its slice.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from datacosmos.errors import InvalidUpload
from datacosmos.sources.json.sentences import sentence

MAX_FAULTS = 100
SLICE, REACH = 1 << 17, 1 << 12  # bytes of a slice, and how far beyond them it may end
LEAST, PARTS = 1 << 9, 16  # bytes of the smallest slice, and how many smaller ones a slice is read in
MAX_MARKS = 1000  # brackets, commas and texts in one item that is looked at by itself
MAX_ITEM = 1 << 16
MAX_ITEMS = 10_000_000  # two bytes may be an item, which takes many times that
# The errors of msgspec and orjson, and UnicodeDecodeError, are ValueErrors.
NOT_AS_EXPECTED = (ValueError, TypeError, LookupError, RecursionError, OverflowError)

Arrays = list[NDArray[Any]]

# Possessive, so that a long string takes no memory.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
WHITE = b" \t\r\n"
OPENING, CLOSING, ENDING = (b"[", b"{"), (b"]", b"}"), (b"]", b"}", b",")
MARK = re.compile(STRING.pattern + rb'|[\[\]{},"]', re.DOTALL)
SPACE = re.compile(rb"[ \t\r\n]*+")
STRING_REST = re.compile(STRING.pattern[1:], re.DOTALL)
LIST_REST = re.compile(rb'(?:[^"\]]*+' + STRING.pattern + rb')*+[^"\]]*+\]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Items:
    """What the items of a list are, and the columns that they make.

    `border` matches from somewhere outside of strings until behind the next comma between items; `at_once` decodes a
    whole list and `one` a single item to a row, and both raise one of NOT_AS_EXPECTED.
    """

    border: re.Pattern[bytes]
    columns: tuple[DTypeLike, ...]
    at_once: Callable[[bytes], Arrays]
    one: Callable[[bytes], tuple[Any, ...]]


class Listed(NamedTuple):
    columns: Arrays
    end: int


class Unended(Exception):
    """An item that has no end, or none near enough."""


def refusal(fault: str) -> InvalidUpload:
    return InvalidUpload([(None, fault)])


def read_list(body: bytes, items: Items) -> Arrays:
    """The body is one list. Raises InvalidUpload."""
    start = begin(body, b"[", "a list")
    columns, end = Reader(body, items).read(start)
    require_end(body, end)
    return columns


class Reader:
    def __init__(self, body: bytes, items: Items) -> None:
        self._body, self._items = body, items
        self._parts = list[Arrays]()
        self._faults = list[tuple[int | None, str]]()
        self._count, self._closing, self._goes_on = 0, -1, 0

    def read(self, start: int) -> Listed:
        position, ended = start, False
        while not ended:
            position, ended = self._take(position, SLICE, may_be_empty=position == start)
            if self._count > MAX_ITEMS:
                raise refusal(f"a list may have {MAX_ITEMS} items: split it")
        if self._faults:
            raise InvalidUpload(self._faults)
        return Listed([np.concatenate(column) for column in zip(*self._parts, strict=True)], position)

    def _take(self, position: int, size: int, *, may_be_empty: bool = False) -> tuple[int, bool]:
        """Read a slice; where it goes on behind that, and whether that was the last."""
        cut, last = self._cut(position, size)
        try:
            part = self._at_once(position, cut, may_be_empty=last and may_be_empty)
        except NOT_AS_EXPECTED:
            return self._smaller(position, size) if size > LEAST else self._one_by_one(position)
        self._parts.append(part)
        self._count += len(part[0])
        return cut + 1, last

    def _smaller(self, position: int, size: int) -> tuple[int, bool]:
        slice_end, ended = position + size, False
        while position < slice_end and not ended:
            position, ended = self._take(position, size // PARTS)
        return position, ended

    def _cut(self, start: int, size: int) -> tuple[int, bool]:
        """Where an item near the end of a slice ends, -1 if none does, and whether it seems to be the last."""
        most = start + size + REACH
        if most > self._goes_on and (end := self._list_end(start, most)):
            return end, True
        outside = _outside(self._body, start, start + size, most)
        border = self._items.border.match(self._body, outside, most)
        return (border.end() - 1 if border else -1), False

    def _list_end(self, start: int, most: int) -> int | None:
        if self._closing < start:
            closing = self._body.find(b"]", start)
            self._closing = sys.maxsize if closing < 0 else closing
        if self._closing < most and (rest := LIST_REST.match(self._body, start, most)):
            return rest.end() - 1
        self._goes_on = most
        return None

    def _at_once(self, start: int, cut: int, *, may_be_empty: bool) -> Arrays:
        if cut < 0:
            raise ValueError("no item ends near enough")
        part = self._items.at_once(b"[%b]" % self._body[start:cut])
        if not len(part[0]) and not may_be_empty:
            raise ValueError("an item is missing")
        return part

    def _one_by_one(self, position: int) -> tuple[int, bool]:
        """The good items of a slice."""
        rows = list[tuple[Any, ...]]()
        slice_end, closed = position + LEAST, False
        while position < slice_end and not closed:
            end = self._item_end(position)
            closed = self._body[end : end + 1] == b"]"
            try:
                rows.append(self._items.one(self._body[position:end]))
            except NOT_AS_EXPECTED as error:
                self._faults.append((self._count, sentence(error)))
                if len(self._faults) == MAX_FAULTS:
                    raise InvalidUpload(self._faults) from None
            self._count += 1
            position = end + 1
        columns = zip(*rows, strict=True) if rows else ((),) * len(self._items.columns)
        self._parts.append([np.array(column, kind) for column, kind in zip(columns, self._items.columns, strict=True)])
        return position, closed

    def _item_end(self, start: int) -> int:
        place = f"after item {self._count - 1}" if self._count else "before the first item"
        try:
            end = value_end(self._body, start)
        except Unended as error:
            raise self._refused(self._count, str(error)) from None
        if self._body[end : end + 1] == b"}":
            raise self._refused(None, f"the JSON has a }} too many {place}")
        if not self._body[start:end].strip(WHITE):
            raise self._refused(None, f"the JSON has a comma too many {place}")
        return end

    def _refused(self, index: int | None, fault: str) -> InvalidUpload:
        return InvalidUpload([*self._faults, (index, fault)])


def _outside(body: bytes, start: int, place: int, most: int) -> int:
    """The first byte from `place` on that is in no string, where `start` is in none; `most` if there is none before."""
    before = body[start:place]
    if b"\\" in before:
        before = before.replace(rb"\\", b"")
        place += before.endswith(b"\\")  # what is escaped belongs to it
        before = before.replace(rb"\"", b"")
    if before.count(b'"') % 2:
        rest = STRING_REST.match(body, place, most)
        return rest.end() if rest else most
    return place


def value_end(body: bytes, start: int, most_marks: int = MAX_MARKS) -> int:
    """Where the comma or bracket stands that ends the value which begins at `start`. Raises Unended."""
    depth = 0
    for count, mark in enumerate(MARK.finditer(body, start, start + MAX_ITEM)):
        kind = mark[0]
        if count > most_marks:
            raise Unended("it is nested where a flat one is asked for")
        if kind == b'"':  # of a text without an end
            break
        if kind in OPENING:
            depth += 1
        elif not depth and kind in ENDING:
            return mark.start()
        elif kind in CLOSING:
            depth -= 1
    if start + MAX_ITEM < len(body):
        raise Unended(f"it is longer than {MAX_ITEM} bytes")
    raise Unended("the body ends within it")


def begin(body: bytes, bracket: bytes, kind: str) -> int:
    start = skip(body, 0)
    if start == len(body):
        raise refusal(f"the body is empty: send {kind} in JSON")
    if body[start : start + 1] != bracket:
        raise refusal(f"the body must be {kind} in JSON")
    return start + 1


def skip(body: bytes, position: int) -> int:
    space = SPACE.match(body, position)
    return space.end() if space else position


def require_end(body: bytes, position: int) -> None:
    if (rest := skip(body, position)) < len(body):
        raise refusal(f"the JSON ends before byte {rest}, but there is more")
