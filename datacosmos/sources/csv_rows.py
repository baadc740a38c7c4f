"""The one intake of CSV: what RFC 4180 or the header does not allow is an error with its line, and nothing is guessed.

Lines may end with a line feed alone, text is UTF-8, and a byte-order mark before it is passed over. Python's reader,
strict or not, takes quotes inside of plain fields, control characters, and rows of any length.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

MAX_ROW = 64 * 1024  # bytes; by then a quote that is still open was never meant as one

FIELD = re.compile(r'"((?:[^"\x00-\x09\x0b\x0c\x0e-\x1f\x7f]|"")*+)"|([^",\x00-\x1f\x7f]*+)')
# A row that goes on in the next line, as it ends within a quoted field.
OPEN = re.compile(r'(?:(?:"(?:[^"]|"")*+"|[^",]*+),)*+"(?:[^"]|"")*+')
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Row(NamedTuple):
    """The fields by the names of their columns, and the number of the line that the row begins on."""

    line: int
    fields: dict[str, str]


class BrokenCsv(ValueError):
    """A sentence about the first fault, with its line and nothing of what stands there."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(f"line {line}: {fault}")


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """None is held that is longer than a row may be."""
    return iter(lambda: file.readline(MAX_ROW + 1), b"")


def read_rows(lines: Iterable[bytes], required: Iterable[str]) -> Iterator[Row]:
    """The rows behind a header, which must name the `required` columns and may name more. Raises BrokenCsv."""
    records = _records(lines)
    at, columns = next(records, (1, list[str]()))
    if missing := [name for name in required if name not in columns]:
        raise BrokenCsv(at, f"the header must name the columns; missing: {', '.join(missing)}")
    if len(set(columns)) < len(columns):
        raise BrokenCsv(at, "the header names a column twice")
    for line, fields in records:
        if len(fields) != len(columns):
            plural = "s" * (len(fields) != 1)
            raise BrokenCsv(line, f"it has {len(fields)} field{plural}, but the header names {len(columns)}")
        yield Row(line, dict(zip(columns, fields, strict=True)))


def _records(lines: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
    begun, held = 0, ""
    for number, line in enumerate(lines, 1):
        begun = begun if held else number
        if len(held) + len(line) > MAX_ROW:
            what = "the row" if number == begun else "with the quote that it opens the row"
            raise BrokenCsv(begun, f"{what} is longer than {MAX_ROW} bytes")
        held += _decoded(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, number)
        if held.count('"') % 2 == 0 or (number == begun and not OPEN.fullmatch(held)):
            yield begun, _fields(held[:-2] if held.endswith("\r\n") else held.removesuffix("\n"), begun)
            held = ""
    if held:
        raise BrokenCsv(begun, "a quote is opened that is never closed")


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BrokenCsv(number, f"it is not UTF-8: byte {error.start + 1}") from None


def _fields(record: str, line: int) -> list[str]:
    if '"' not in record and not CONTROL.search(record):
        return record.split(",")
    fields: list[str] = []
    at = 0
    while at <= len(record):
        match = FIELD.match(record, at)
        assert match is not None  # noqa: S101  an empty field always matches
        if match.end() < len(record) and record[match.end()] != ",":
            raise BrokenCsv(line, f"field {len(fields) + 1}: {_fault(record, match)}")
        quoted, plain = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        at = match.end() + 1
    return fields


def _fault(record: str, match: re.Match[str]) -> str:
    if match[1] is not None:
        return "something stands behind its closing quote"
    if record[match.end()] == '"' and match.end() > match.start():
        return "a quote stands in it, but it does not begin with one"
    return "it holds a control character, or a line break that is none of CSV's"
