"""The documents in a reply to `find` or `getMore`, taken from its bytes.

A covered index makes documents that all have one layout. Such a batch is read as a whole, as an array of records; every
byte that should be the same in all of them is compared. Any other is walked over field by field, or decoded where it is
short or its documents' fields are of mixed kinds.
"""

# pyright: reportUnknownVariableType=false

import struct
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from bson import decode, decode_all, encode
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray

from datacosmos.domain.columns import Columns, NoColumns, Rows, Table, columns_of
from datacosmos.store.mongo.connection import Document
from datacosmos.store.mongo.walking import walk

END, STRING, ARRAY = 0x00, 0x02, 0x04
KINDS = {b"\x02_id": "S", b"\x09time": "<i8", b"\x01value": "<f8"}
TOGETHER = frozenset({"_id", "time", "value"})
SIZE, LAST = struct.Struct("<i"), struct.Struct("<4sq")
USUAL = struct.Struct("<i8si12si")  # of a reply to what begins a list: up to the size of its documents' array
CURSOR, FIRST, ID = b"\x03cursor\0", b"\x04firstBatch\0", b"\x12id\0"
AWARE = CodecOptions[Document](tz_aware=True)
NAIVE = CodecOptions[Document](tz_aware=False)
VALUE_OF = Document.get
AT_ONCE, MOST_BYTES = 128, 1 << 18
"""Documents that are decoded in one step, and their bytes."""
FEW, LITTLE = 1500, 6000  # bytes of an array that decoding is quicker for than comparing them, or walking over them


class Layout(NamedTuple):
    """One document as NumPy sees it, and the fields of it that never vary."""

    fields: list[tuple[str, str]]
    constants: dict[str, bytes]


class Batch:
    """Some documents as MongoDB sent them: a BSON array of `size` bytes. `cursor` has the next ones, unless it is 0."""

    size: int

    def __init__(self, reply: bytes | memoryview) -> None:
        raw, begin = memoryview(reply), 28
        _, cursor, _, first, self.size = USUAL.unpack_from(raw)
        if (cursor, first) != (CURSOR, FIRST):
            raw = raw[12:] if cursor == CURSOR else memoryview(RawBSONDocument(bytes(raw))["cursor"].raw)
            raw = raw if raw[4] == ARRAY else _batch_first(raw)
            begin = bytes(raw[4:20]).index(END) + 5  # behind the name, firstBatch or nextBatch
            (self.size,) = SIZE.unpack_from(raw, begin)
        end = begin + self.size
        self._array = raw[begin:end]
        self.cursor: int
        name, self.cursor = LAST.unpack_from(raw, end)
        if name != ID:
            rest = bytes(raw[end : SIZE.unpack_from(raw)[0]])
            self.cursor = decode(SIZE.pack(len(rest) + 4) + rest)["id"]

    def columns(self) -> Columns:
        """Time and value. Raises NoColumns where a point has no time or no float."""
        return columns_of(self.rows(("time", "value")))

    def rows(self, names: Sequence[str]) -> Rows:
        """These fields of all of them, in the order in which the documents have them, if they have no others.

        Raises NoColumns where a time is none of the years 1 to 9999.
        """
        found = self._at_once() if self.size >= FEW and TOGETHER.issuperset(names) else None
        if found is None and self.size >= LITTLE:
            found = walk(self._array, names)
        return self._one_by_one(names) if found is None else found

    def whole(self) -> list[Document]:
        """All of them in one step, for those that are few or small."""
        return list(decode(self._array, NAIVE).values())

    def documents(self, options: CodecOptions[Document] = AWARE) -> Iterator[list[Document]]:
        """All of them, some at once: AT_ONCE, or fewer large ones, which bounds how long a step takes."""
        found: list[memoryview] = []
        room = MOST_BYTES
        for document in self._documents():
            found.append(document)
            room -= len(document)
            if len(found) == AT_ONCE or room <= 0:
                yield decode_all(b"".join(found), options)
                found, room = [], MOST_BYTES
        if found:
            yield decode_all(b"".join(found), options)

    def _documents(self) -> Iterator[memoryview]:
        """Each element is a type, a key of digits, a zero, and the document."""
        position, number = 4, 0
        while position < len(self._array) - 1:
            position += len(str(number)) + 2
            (size,) = SIZE.unpack_from(self._array, position)
            yield self._array[position : position + size]
            position += size
            number += 1

    def _at_once(self) -> Columns | None:
        """None where layouts differ. Documents whose keys have equally many digits are the rows of one array."""
        first = next(self._documents(), None)
        layout = None if first is None else _layout(bytes(first))
        if layout is None:
            return None
        position, number, digits, end = 4, 0, 1, len(self._array) - 1
        found: list[NDArray[Any]] = []
        while position < end:
            row = np.dtype([("kind", "S1"), ("key", f"S{digits}"), ("zero", "S1"), *layout.fields])
            count = min(10**digits - number, (end - position) // row.itemsize)
            rows = np.frombuffer(self._array, row, count, position)
            if not count or any((rows[name] != value).any() for name, value in layout.constants.items()):
                return None
            found.append(rows)
            position, number, digits = position + count * row.itemsize, number + count, digits + 1
        return _columns(found)

    def _one_by_one(self, names: Sequence[str]) -> Table:
        try:
            documents = self.whole()
        except InvalidBSON as error:
            raise NoColumns from error
        return Table(len(documents), {name: [*map(VALUE_OF, documents, repeat(name))] for name in names})


def _batch_first(cursor: memoryview) -> memoryview:
    """The same, which has other members first where a collection is not there."""
    members = RawBSONDocument(bytes(cursor[: SIZE.unpack_from(cursor)[0]])).items()
    return memoryview(encode(dict(sorted(members, key=lambda member: not member[0].endswith("Batch")))))


def _layout(document: bytes) -> Layout | None:
    """None unless it has a time, a float, and nothing else but an id."""
    fields, constants = [("size", "S4")], {"kind": b"\x03", "zero": b"", "size": document[:4]}
    position, seen = 4, set[bytes]()
    while (kind := document[position]) != END:
        name = document[position : document.index(END, position)]
        if name not in KINDS:
            return None
        head = position + len(name) + (5 if kind == STRING else 1)
        width = SIZE.unpack_from(document, head - 4)[0] if kind == STRING else 8  # a string's counts its last zero
        what = f"S{width}" if kind == STRING else KINDS[name]
        fields += [(f"head of {name[1:]!r}", f"S{head - position}"), (name[1:].decode(), what)]
        constants[f"head of {name[1:]!r}"] = document[position:head]
        position = head + width
        seen.add(name)
    complete = {b"\x09time", b"\x01value"} <= seen
    return Layout([*fields, ("last", "S1")], constants | {"last": b""}) if complete else None


def _columns(found: Sequence[NDArray[Any]]) -> Columns | None:
    time, value = (np.concatenate([rows[name] for rows in found]) for name in ("time", "value"))
    if "_id" not in (found[0].dtype.names or ()):
        return Columns(time, value)
    ids = np.concatenate([rows["_id"] for rows in found])
    # NumPy takes zeros at the end for padding: here it must be the one that ends a string.
    last = ids.view(np.uint8).reshape(len(ids), -1)[:, -2:]
    return Columns(time, value, ids) if last[:, 0].all() and not last[:, 1].any() else None
