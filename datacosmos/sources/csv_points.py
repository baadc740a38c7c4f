"""Points of stored series from the rows of a CSV, whose sender says which column is what.

A time is epoch seconds or ISO 8601 with an offset, a value a finite number; a faulty row spoils itself alone.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from datacosmos.domain import series
from datacosmos.sources.csv_rows import read_rows
from datacosmos.sources.pushed_points import MAX_NAME, require_text, to_microseconds

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row has what; `literal_name` is the series of all rows, where no column names it."""

    time: str
    value: str
    name: str | None = None
    literal_name: str | None = None

    @property
    def required(self) -> list[str]:
        return [column for column in (self.time, self.value, self.name) if column is not None]


class CsvPoint(NamedTuple):
    """`t` in microseconds since the epoch."""

    line: int
    name: str
    t: int
    v: float


class Fault(NamedTuple):
    line: int
    says: str


def read_csv_points(lines: Iterable[bytes], columns: Columns) -> Iterator[CsvPoint | Fault]:
    """Each row as what it is. Raises BrokenCsv for a file without the columns, or that RFC 4180 refuses."""
    for row in read_rows(lines, columns.required):
        try:
            yield CsvPoint(row.line, *_judged(row.fields, columns))
        except ValueError as error:
            yield Fault(row.line, str(error))


def check_name(name: str) -> str:
    """Raises ValueError, a sentence."""
    require_text("name", name, MAX_NAME)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError("name must be text that UTF-8 can hold") from None
    return name


def _judged(fields: Mapping[str, str], columns: Columns) -> tuple[str, int, float]:
    name = fields[columns.name] if columns.name is not None else columns.literal_name
    return check_name(name or ""), _time(fields[columns.time]), _value(fields[columns.value])


def _time(text: str) -> int:
    if not NUMBER.fullmatch(text):
        return to_microseconds("time", text)
    try:
        return series.parse_seconds(text)
    except OverflowError:
        raise ValueError("time must lie in the years 1 to 9999") from None


def _value(text: str) -> float:
    if not NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError("value must be a finite number")
    return value
