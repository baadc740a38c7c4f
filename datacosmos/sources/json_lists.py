"""JSON whose lists may hold millions of items, read in slices: so little of it is held as Python objects at a time,
and others have their turn in between.

A slice ends where an item seems to. That can only be wrong inside of a string or of an item, and then the slice is no
JSON: so whatever decodes at once was cut right, and where it does not, the slice's items are told apart one by one.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from datacosmos.errors import InvalidUpload
from datacosmos.sources.sentences import sentence

MAX_FAULTS = 100
SLICE, REACH = 1 << 17, 1 << 12  # bytes of a slice, and how far beyond them it may end
MAX_ITEM = 1 << 16
MAX_ITEMS = 10_000_000  # two bytes may be an item, which takes many times that
NOT_AS_EXPECTED = (ValueError, RecursionError, OverflowError)  # msgspec's errors and UnicodeDecodeError are ValueErrors

Columns = list[NDArray[Any]]

# Possessive, so that a long string takes no memory.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
WHITE = b" \t\r\n"
OPENING, CLOSING, ENDING = (b"[", b"{"), (b"]", b"}"), (b"]", b"}", b",")
MARK = re.compile(STRING.pattern + rb'|[\[\]{},"]', re.DOTALL)
SPACE = re.compile(rb"[ \t\r\n]*+")


@dataclass(frozen=True, slots=True)
class Items:
    """What the items of a list are, and the columns that they make.

    `border` seems to end an item, with its comma; `at_once` decodes a whole list and `one` a single item to a row, and
    both raise one of NOT_AS_EXPECTED.
    """

    border: re.Pattern[bytes]
    columns: tuple[DTypeLike, ...]
    at_once: Callable[[bytes], Columns]
    one: Callable[[bytes], tuple[Any, ...]]


class Listed(NamedTuple):
    columns: Columns
    end: int


class Unended(Exception):
    """An item that has no end, or none near enough."""


def refusal(fault: str) -> InvalidUpload:
    return InvalidUpload([(None, fault)])


def read_list(body: bytes, items: Items) -> Columns:
    """The body is one list. Raises InvalidUpload."""
    start = begin(body, b"[", "a list")
    columns, end = Reader(body, items).read(start)
    require_end(body, end)
    return columns


class Reader:
    def __init__(self, body: bytes, items: Items) -> None:
        self._body, self._items = body, items
        self._parts = list[Columns]()
        self._faults = list[tuple[int | None, str]]()
        self._count, self._closing = 0, -1

    def read(self, start: int) -> Listed:
        position, ended = start, False
        while not ended:
            cut, last = self._cut(position)
            try:
                part = self._at_once(position, cut, may_be_empty=last and position == start)
            except NOT_AS_EXPECTED:
                part, position, ended = self._one_by_one(position)
            else:
                position, ended = cut + 1, last
                self._count += len(part[0])
            self._parts.append(part)
            if self._count > MAX_ITEMS:
                raise refusal(f"a list may have {MAX_ITEMS} items: split it")
        if self._faults:
            raise InvalidUpload(self._faults)
        return Listed([np.concatenate(column) for column in zip(*self._parts, strict=True)], position)

    def _cut(self, start: int) -> tuple[int, bool]:
        """Where an item near the end of a slice seems to end, -1 if none does, and whether it seems to be the last."""
        if self._closing < start:
            closing = self._body.find(b"]", start)
            self._closing = sys.maxsize if closing < 0 else closing
        if self._closing - start <= SLICE + REACH:
            return self._closing, True
        border = self._items.border.search(self._body, start + SLICE, start + SLICE + REACH)
        return (border.end() - 1 if border else -1), False

    def _at_once(self, start: int, cut: int, *, may_be_empty: bool) -> Columns:
        if cut < 0:
            raise ValueError("no item ends near enough")
        part = self._items.at_once(b"[%b]" % self._body[start:cut])
        if not len(part[0]) and not may_be_empty:
            raise ValueError("an item is missing")
        return part

    def _one_by_one(self, position: int) -> tuple[Columns, int, bool]:
        """The good items of a slice, where it goes on after them, and whether these were the last."""
        rows = list[tuple[Any, ...]]()
        slice_end, closed = position + SLICE, False
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
        part = [np.array(column, kind) for column, kind in zip(columns, self._items.columns, strict=True)]
        return part, position, closed

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


def value_end(body: bytes, start: int) -> int:
    """Where the comma or bracket stands that ends the value which begins at `start`. Raises Unended."""
    depth = 0
    for mark in MARK.finditer(body, start, start + MAX_ITEM):
        kind = mark[0]
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
