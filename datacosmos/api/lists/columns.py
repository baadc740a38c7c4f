"""Columns on their way out: the JSON of each value, and rows of them."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import orjson
from numpy.typing import NDArray

from datacosmos.api.times import format_time
from datacosmos.domain.columns import to_datetime
from datacosmos.domain.series import floats_tell, to_seconds

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def time_texts(times: NDArray[np.int64]) -> list[bytes]:
    """As format_time would write them. Raises OverflowError outside the years 1 to 9999."""
    try:
        return _split(times.view("M8[ms]"))
    except TypeError:  # orjson's calendar ends a day too early
        return [b'"%b"' % format_time(to_datetime(time)).encode() for time in times.tolist()]


def second_texts(times: NDArray[np.int64]) -> list[bytes]:
    """Of microseconds since the epoch, the seconds, each told apart also where a float of them could not."""
    if floats_tell(times):
        return orjson.dumps(to_seconds(times))[1:-1].split(b",") if len(times) else []
    return [f"{Decimal(time).scaleb(-6).normalize():f}".encode() for time in times.tolist()]


def value_texts(values: NDArray[np.float64]) -> list[bytes]:
    return _split(values)


def fill_rows(template: bytes, columns: Sequence[Sequence[bytes]], count: int, between: bytes = b",") -> bytes:
    """So many rows; %b in the template stands for each column in turn."""
    flat = [b""] * (count * len(columns))
    for number, column in enumerate(columns):
        flat[number :: len(columns)] = column
    return between.join([template] * count) % tuple(flat)


def _split(column: NDArray[np.generic]) -> list[bytes]:
    """Encoded at once and then cut, which no loop over the values is as quick as."""
    return orjson.dumps(column, option=OPTIONS)[1:-1].split(b",") if len(column) else []
