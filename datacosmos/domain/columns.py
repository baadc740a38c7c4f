"""Points as columns: what a long answer is made from, without an object for each point."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
Records = list[dict[str, Any]]
"""Rows as they are kept, some fields of each by the names of the store; their times are in UTC without saying so."""


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


def to_datetime(milliseconds: int) -> datetime:
    """Raises OverflowError outside the years 1 to 9999."""
    return EPOCH + milliseconds * MILLISECOND
