"""What runs of points add up to, and what buckets and samples are made of: parts, which merge without loss.

A part stands for the points of a minute, an hour or a piece of one. Times are microseconds since the epoch.
"""

import math

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain.metrics import exact_sum

Parts = NDArray[np.void]
# `at` is when the part's minute or hour begins. `rest` is what rounding took from `sum`; where that is infinite, as it
# is beyond a double, `rest` is the sum scaled by 2 ** -SHIFT. `first` and `last` are by time, then in the order
# that the points were given in; of several equal extremes, the first is at `min_at` or `max_at`.
PART = np.dtype(
    [("at", "<i8"), ("n", "<i8")]
    + [(name, "<f8") for name in ("sum", "rest", "min", "max", "first", "last")]
    + [(name, "<i8") for name in ("first_at", "last_at", "min_at", "max_at")]
)
NO_PARTS = np.empty(0, PART)
SHIFT = 60
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000


def summarise(t: NDArray[np.int64], v: NDArray[np.float64], size: int) -> Parts:
    """A part for each span of `size` that has points, of points in order of time: shape (spans,)."""
    return gathered(single(t, v), t // size * size)


def gathered(parts: Parts, at: NDArray[np.int64], *, summed: bool = True) -> Parts:
    """Those that have the same `at` as one, each, whatever their order in time: shape (different ats,).

    The same `at` must stand side by side. Of points of one time, the first and the last are by their order here. Sums
    cost most of it, and are 0 where they are not wanted.
    """
    if not len(parts):
        return NO_PARTS
    begins = np.flatnonzero(np.diff(at, prepend=at[0] - 1))
    if len(begins) == len(parts):
        return _moved(parts, at)
    ends = np.append(begins[1:], len(parts))
    found = np.empty(len(begins), PART)
    found["at"] = at[begins]
    found["n"] = np.add.reduceat(parts["n"], begins)
    found["sum"] = found["rest"] = 0
    if summed:
        each, rests = parts["sum"], parts["rest"]
        found["sum"], found["rest"] = each[begins], rests[begins]
        for number in np.flatnonzero(ends - begins > 1).tolist():
            run = slice(begins[number], ends[number])
            found["sum"][number], found["rest"][number] = _added(each[run], rests[run])
    for name, by, extreme in (
        ("min", "min", np.minimum),
        ("max", "max", np.maximum),
        ("first", "first_at", np.minimum),
        ("last", "last_at", np.maximum),
    ):
        limits = extreme.reduceat(parts[by], begins)
        reached = np.flatnonzero(parts[by] == np.repeat(limits, ends - begins))
        if name == "last":
            chosen = parts[reached[np.searchsorted(reached, ends) - 1]]
        else:
            chosen = parts[reached[np.searchsorted(reached, begins)]]
        found[name], found[f"{name}_at"] = chosen[name], chosen[f"{name}_at"]
    return found


def _moved(parts: Parts, at: NDArray[np.int64]) -> Parts:
    """The same with other beginnings."""
    found = parts.copy()
    found["at"] = at
    return found


def _added(sums: NDArray[np.float64], rests: NDArray[np.float64]) -> tuple[float, float]:
    """Of parts: the sum of their sums, and its rest."""
    if np.isfinite(sums).all():
        total, rest = exact_sum([*sums.tolist(), *rests.tolist()])
        if math.isfinite(total):
            return total, rest
    scaled = math.fsum(np.where(np.isfinite(sums), np.ldexp(sums, -SHIFT), rests).tolist())
    with np.errstate(over="ignore"):
        total = float(np.ldexp(scaled, SHIFT))
    return (total, 0.0) if math.isfinite(total) else (total, scaled)


def single(t: NDArray[np.int64], v: NDArray[np.float64]) -> Parts:
    """A part for each point."""
    parts = np.zeros(len(t), PART)
    parts["n"] = 1
    for name in ("sum", "min", "max", "first", "last"):
        parts[name] = v
    for name in ("at", "first_at", "last_at", "min_at", "max_at"):
        parts[name] = t
    return parts


def into_buckets(parts: Parts, edges: NDArray[np.int64], *, summed: bool = True) -> Parts:
    """One part for what begins between each two edges, n 0 where nothing does: shape (len(edges) - 1,).

    Each of the parts must lie between two edges as a whole.
    """
    buckets = np.zeros(len(edges) - 1, PART)
    buckets["at"] = edges[:-1]
    filled = by_bucket(parts, edges, summed=summed)
    buckets[np.searchsorted(edges, filled["at"])] = filled
    return buckets


def by_bucket(parts: Parts, edges: NDArray[np.int64], *, summed: bool = True) -> Parts:
    """As `into_buckets`, without the empty ones."""
    number = np.searchsorted(edges, parts["at"], "right") - 1
    if (np.diff(number) < 0).any():
        order = np.argsort(number, kind="stable")
        parts, number = parts[order], number[order]
    return gathered(parts, edges[number], summed=summed)


def averages(parts: Parts) -> NDArray[np.float64]:
    """Of each part; that of equal values is that value. NaN where there are none."""
    low, high, n = parts["min"], parts["max"], np.maximum(parts["n"], 1)
    with np.errstate(over="ignore", invalid="ignore"):
        is_large = ~np.isfinite(parts["sum"])
        mean = np.where(is_large, np.ldexp(parts["rest"] / n, SHIFT), parts["sum"] / n)
    mean = np.where(low > mean, low, mean)
    mean = np.where(high < mean, high, mean)
    return np.where(parts["n"] > 0, np.where(low == high, low, mean), np.nan)


def spans(start: int, end: int, width: int) -> NDArray[np.int64]:
    """The edges of at most `width` equally long spans of [start, end], ascending: shape (spans + 1,)."""
    whole, rest = divmod(end - start + 1, width)
    number = np.arange(width + 1)
    return np.unique(start + number * whole + number * rest // width)


def extremes(parts: Parts) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """M4: times and values of the first, last, least and greatest point of each part, by time, once each.

    A line drawn through those of a part for each pixel of its width looks as one through all points does (Jugel et al.
    2014, "M4: a visualization-oriented time series data aggregation").
    """
    parts = parts[parts["n"] > 0]
    names = ("first", "min", "max", "last")
    t = np.stack([parts[f"{name}_at"] for name in names], axis=1).ravel()
    v = np.stack([parts[name] for name in names], axis=1).ravel()
    order = np.argsort(t, kind="stable")
    t, v = t[order], v[order]
    fresh = np.append(True, (np.diff(t) != 0) | (np.diff(v) != 0)) if len(t) else np.empty(0, bool)
    return t[fresh], v[fresh]
