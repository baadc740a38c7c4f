"""Arrays of (t, v): their order, their overlap, and how they are cut into chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

CHUNK = 4096  # points that one chunk holds at the most
MAX_NAMES = 10_000  # series that one request may name
SECOND = 1_000_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a datetime can hold, in microseconds since the epoch.
EXACT = SECOND << 33
"""Up to here, the year 2242, a float of seconds tells microseconds apart; whole seconds it tells everywhere."""
FAR = 1 << 62
EARLIEST, LATEST = (
    (edge - EPOCH) // timedelta(microseconds=1)
    for edge in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """`t`, int64 microseconds since the epoch, and `v`, float64; both of shape (n,)."""

    t: NDArray[np.int64]
    v: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, where: slice | NDArray[np.intp] | NDArray[np.bool_]) -> "Samples":
        return Samples(self.t[where], self.v[where])


EMPTY = Samples(np.empty(0, np.int64), np.empty(0, np.float64))


def joined(parts: Sequence[Samples]) -> Samples:
    """One after another, as they come."""
    if not parts:
        return EMPTY
    return Samples(np.concatenate([part.t for part in parts]), np.concatenate([part.v for part in parts]))


def first_in_order(t: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where in `t` each distinct time stands first, by time."""
    if len(t) < 2 or bool((t[1:] > t[:-1]).all()):
        return np.arange(len(t))
    order = np.argsort(t, kind="stable")
    by_time = t[order]
    return order[np.concatenate(([True], by_time[1:] != by_time[:-1]))]


def in_order(samples: Samples) -> Samples:
    """By time; of points with the same time, the first wins."""
    return samples[first_in_order(samples.t)]


def repeats(t: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where in `t` a time stands that stood there before, ascending."""
    again = np.ones(len(t), bool)
    again[first_in_order(t)] = False
    return np.flatnonzero(again)


def merged(stored: Samples, new: Samples) -> Samples:
    """Both, by time; of points with the same time the stored one wins."""
    return in_order(joined([stored, new]))


def known(stored: NDArray[np.int64], t: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of `t` are among the `stored` times, which are ascending."""
    if not len(stored):
        return np.zeros(len(t), bool)
    return stored[np.searchsorted(stored[:-1], t)] == t


def between(samples: Samples, start: int | None, end: int | None) -> Samples:
    """The part of ordered samples from `start` to `end`, both inclusive, each open where None."""
    first = 0 if start is None else int(np.searchsorted(samples.t, start, "left"))
    last = len(samples) if end is None else int(np.searchsorted(samples.t, end, "right"))
    return samples[first : max(first, last)]


def cut(samples: Samples, size: int = CHUNK) -> list[Samples]:
    """Runs of `size`, the last one shorter."""
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def even_size(count: int, most: int) -> int:
    """The size to cut `count` things by into the fewest runs of at most `most`, all about as long."""
    runs = -(-count // most)
    return -(-count // max(runs, 1)) or 1


def evenly_sampled(start: int, interval: Fraction, values: NDArray[np.float64]) -> Samples:
    """A value every `interval` microseconds (at least one) from `start` on.

    Each time is rounded by itself, so that none drifts; raises OverflowError beyond what a datetime can hold.
    """
    if not EARLIEST <= start + max(len(values) - 1, 0) * interval <= LATEST:
        raise OverflowError("the last time is beyond the year 9999")
    steps = np.arange(len(values))
    if interval.denominator == 1:
        return Samples(start + steps * int(interval), values)
    return Samples(start + np.rint(steps * float(interval)).astype(np.int64), values)


def sampling_interval(t: NDArray[np.int64], tolerance: float = 0.01) -> float | None:
    """The mean step of ordered times, in microseconds; None where a step strays from it by more than the tolerance.

    A microsecond is always tolerated: times are rounded to it.
    """
    if len(t) < 2:
        return None
    mean = float(t[-1] - t[0]) / (len(t) - 1)
    strays = np.abs(np.diff(t) - mean).max()
    return mean if strays <= max(1.0, tolerance * mean) else None


def from_seconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Epoch seconds rounded to the microsecond; raises OverflowError where a datetime could not hold one."""
    with np.errstate(over="ignore"):
        rounded = np.rint(seconds * SECOND)
    if len(seconds) and not np.abs(rounded).max() < FAR:  # where a cast would wrap
        raise OverflowError("a time is far beyond the years 1 to 9999")
    microseconds = rounded.astype(np.int64)
    if len(seconds) and not EARLIEST <= microseconds.min() <= microseconds.max() <= LATEST:
        raise OverflowError("a time is beyond the years 1 to 9999")
    return microseconds


def parse_seconds(digits: str) -> int:
    """Epoch seconds rounded to the microsecond, of which none is lost in any year; raises OverflowError beyond all."""
    microseconds = float(digits) * SECOND
    # Beyond all years no decimal is tried: its exponent may be one that none can have.
    exact = Decimal(digits) * SECOND if EXACT < abs(microseconds) < 2 * LATEST else microseconds
    if not EARLIEST <= exact <= LATEST:
        raise OverflowError("a time is beyond the years 1 to 9999")
    return round(exact)


def from_datetime(moment: datetime) -> int:
    """Microseconds since the epoch of a datetime that knows its offset."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(time: int) -> datetime:
    """The end of the calendar stands for what is beyond it."""
    return EPOCH + timedelta(microseconds=min(time, LATEST))


def floats_tell(t: NDArray[np.int64]) -> bool:
    """Whether floats of seconds tell these microseconds from their neighbours."""
    return not len(t) or bool(np.abs(t).max() <= EXACT) or not (t % SECOND).any()


def to_seconds(t: NDArray[np.int64]) -> list[int | float]:
    """Epoch seconds, an int where whole."""
    whole, rest = np.divmod(t, SECOND)
    if not rest.any():
        return whole.tolist()
    seconds: list[int | float] = (t / SECOND).tolist()
    for index in np.flatnonzero(rest == 0).tolist():
        seconds[index] = int(whole[index])
    return seconds
