"""Points as columns: what a long answer is made from, without an object for each point."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
Column = NDArray[Any] | list[Any]
"""A field of some rows: doubles, int64 or datetime64[ms] in one array, or a list, in which None is no value.

Times of a list are in UTC without saying so.
"""


class NoColumns(Exception):
    """Points that don't fit into columns: one of them has no time, or no float for a value."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """`time` in milliseconds since the epoch, `value`, and the UTF-8 of each `id` where ids were asked for."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    id: NDArray[np.bytes_] | None = None

    def __len__(self) -> int:
        return len(self.time)

    def __iter__(self) -> Iterator[tuple[datetime, float]]:
        """Time and value of each point."""
        return zip((to_datetime(time) for time in self.time.tolist()), self.value.tolist(), strict=True)

    def __getitem__(self, part: slice | NDArray[np.bool_]) -> "Columns":
        """Each column of it in one piece, as encoders need them, also where it is the other way round."""
        time, value = np.ascontiguousarray(self.time[part]), np.ascontiguousarray(self.value[part])
        return Columns(time, value, None if self.id is None else np.ascontiguousarray(self.id[part]))

    def column(self, name: str) -> Column:
        """By the name of the store."""
        match name:
            case "time":
                return self.time.view("M8[ms]")
            case "value":
                return self.value
            case _:
                return [each.decode() for each in self.ids()]

    def ids(self) -> list[bytes]:
        assert self.id is not None  # noqa: S101 - they were asked for
        return self.id.tolist()


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Some fields of so many rows, by the names of the store."""

    count: int
    columns: dict[str, Column]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> "Table":
        return Table(len(range(self.count)[part]), {name: _cut(each, part) for name, each in self.columns.items()})

    def column(self, name: str) -> Column:
        return self.columns[name]

    def ids(self) -> list[bytes]:
        return [*map(str.encode, self.columns["_id"])]


Rows = Columns | Table


def columns_of(rows: Rows) -> Columns:
    """Their times and values. Raises NoColumns."""
    if isinstance(rows, Columns):
        return rows
    time, value = _array(rows.column("time"), datetime, "M8[ms]"), _array(rows.column("value"), float, "f8")
    return Columns(time.view(np.int64), value)


def _array(column: Column, kind: type, dtype: str) -> NDArray[Any]:
    if isinstance(column, list):
        if not set(map(type, column)) <= {kind}:
            raise NoColumns
        return np.array(column, dtype)
    if column.dtype != dtype:
        raise NoColumns
    return column


def _cut(column: Column, part: slice) -> Column:
    return column[part] if isinstance(column, list) else np.ascontiguousarray(column[part])


def to_datetime(milliseconds: int) -> datetime:
    """Raises OverflowError outside the years 1 to 9999."""
    return EPOCH + milliseconds * MILLISECOND
