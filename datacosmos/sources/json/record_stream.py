"""The records in a stream of unknown length: a line each, or the items of an array, as pieces of it arrive."""

import codecs
from typing import NamedTuple

from datacosmos.sources.json.lists import MAX_ITEM, WHITE, Unended, skip, value_end


class Record(NamedTuple):
    """Its bytes, and the number of the line that it ends on."""

    raw: bytes
    line: int


class RecordStream:
    """An array at the beginning or right behind another is taken as its items; anything else is lines.

    Of a line without an end no more than `most` + 1 bytes are held. Where an array is no JSON, `fault` says so from
    then on, and nothing more is found.
    """

    def __init__(self, most: int) -> None:
        self.fault: str | None = None
        self.line = 1  # that is being read
        self.kind = "lines"  # what the records are
        self._most = most
        self._text = b""
        self._at: int = 0
        self._found: list[Record] = []
        self._step = self._begin  # what is to be done next; False where it takes more of the stream

    def feed(self, piece: bytes) -> list[Record]:
        """What is whole with this piece; blank lines are no records."""
        self._text, self._at, self._found = self._text[self._at :] + piece, 0, []
        while self.fault is None and self._step():
            pass
        return self._found

    def end(self) -> list[Record]:
        """What the stream ends with."""
        if self.fault is None and self._step in (self._first_item, self._item):
            self._break_off("it ends without its closing bracket")
        rest = self._text[self._at :]
        return [Record(rest, self.line)] if rest.strip() and self.fault is None else []

    def _begin(self) -> bool:
        if len(self._text) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(self._text):
            return False
        if self._text.startswith(codecs.BOM_UTF8):
            self._at = len(codecs.BOM_UTF8)
        self._step = self._between
        return True

    def _between(self) -> bool:
        """Outside of any array."""
        self._go_to(skip(self._text, self._at))
        if self._at == len(self._text):
            return False
        bracketed = self._text.startswith(b"[", self._at)
        self._at += bracketed
        self._step = self._first_item if bracketed else self._lines
        if bracketed:
            self.kind = "records"
        return True

    def _lines(self) -> bool:
        *lines, rest = self._text[self._at :].split(b"\n")
        self._found += [Record(line, self.line + n) for n, line in enumerate(lines) if line.strip()]
        self.line += len(lines)
        self._text, self._at = rest[: self._most + 1], 0
        return False

    def _first_item(self) -> bool:
        self._go_to(skip(self._text, self._at))
        if self._at == len(self._text):
            return False
        closed = self._text.startswith(b"]", self._at)
        self._at += closed
        self._step = self._between if closed else self._item
        return True

    def _item(self) -> bool:
        self._go_to(skip(self._text, self._at))
        try:
            # However deep it is nested: it is a record, if a malformed one.
            end = value_end(self._text, self._at, most_marks=MAX_ITEM)
        except Unended:
            if len(self._text) - self._at > MAX_ITEM:
                self._break_off(f"an item is longer than {MAX_ITEM} bytes, or has no end")
            return False
        item, mark = self._text[self._at : end].rstrip(WHITE), self._text[end : end + 1]
        if not item or mark == b"}":
            self._break_off("there is a comma or a bracket too many")
            return False
        self._go_to(end)
        self._found.append(Record(item, self.line))
        self._at += 1
        self._step = self._between if mark == b"]" else self._item
        return True

    def _go_to(self, place: int) -> None:
        self.line += self._text.count(b"\n", self._at, place)
        self._at = place

    def _break_off(self, fault: str) -> None:
        self.fault = f"line {self.line}: the array can't be read on: {fault}"
