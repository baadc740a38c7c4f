"""Statistics of one array, and how the summaries of parts merge into that of the whole.

A statistic beyond the range of a double (the sum of values near 1.7e308, say) is None, never infinite.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ZERO = Fraction()
BLOCK = 1 << 16  # values: 512 KiB

# `rest` is what rounding took from `sum`, and `lag` what it took from `mean`: with them each has about twice a double's
# digits. `m2` is the sum of the squares of the deviations from the mean.
SUMMARY = np.dtype([("n", "<i8"), *((name, "<f8") for name in ("sum", "rest", "mean", "lag", "m2", "min", "max"))])


@dataclass(frozen=True, slots=True)
class Summary:
    """What an average, a sum and a deviation need to know of n values; all but n are None where n is 0."""

    n: int
    sum: float | None
    mean: float | None
    std: float | None
    min: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Statistics of n values; all but the count and the sum are None where there are none.

    `std` is the population's (divided by n); median, p05 and p95 interpolate linearly between the nearest ranks;
    `crest_factor` is the largest magnitude over the rms, None where all values are 0.
    """

    count: int
    min: float | None
    max: float | None
    mean: float | None
    sum: float | None
    std: float | None
    median: float | None
    p05: float | None
    p95: float | None
    rms: float | None
    peak_to_peak: float | None
    crest_factor: float | None


def measure(v: Floats, *, overwrite: bool = False) -> Metrics:
    """Every metric of `v`, shape (n,), finite values in any order, which may be changed where it is overwritten."""
    if not len(v):
        return Metrics(0, None, None, None, 0, *[None] * 7)
    least, most = float(v.min()), float(v.max())
    peak = max(most, -least)
    exponent = math.frexp(peak)[1]
    # Scaled by a power of two, which costs no digit, where a square would leave the range of a double.
    shift = exponent if abs(exponent) > 400 else 0
    scaled = np.ldexp(v, -shift) if shift else v
    # Small values beside a huge one would vanish where they are scaled: each is scaled only where it must be.
    whole = _sum(v)[0]
    total, mean = _in_range(whole), (_sum(scaled)[0] if shift else whole) / len(v)
    lag, variance = _moments(scaled, mean)
    rms = math.sqrt(_moments(scaled, 0.0)[1])
    room = 2 if exponent == 1024 else 0  # for the distance between two values
    ordered = np.ldexp(v, -room) if room else v if overwrite else v.copy()
    ordered.sort()  # twice as fast as to part them at six places
    p05, median, p95 = np.quantile(ordered, [0.05, 0.5, 0.95], overwrite_input=True).tolist()

    def back(statistic: float, by: int = shift) -> float | None:
        with np.errstate(over="ignore"):
            return _in_range(np.ldexp(statistic, by))

    return Metrics(
        count=len(v),
        min=least,
        max=most,
        mean=back(mean) if total is None else total / len(v),
        sum=total,
        std=back(math.sqrt(max(variance - lag**2, 0.0))),
        median=back(median, room),
        p05=back(p05, room),
        p95=back(p95, room),
        rms=back(rms),
        peak_to_peak=back(math.ldexp(most, -shift) - math.ldexp(least, -shift)),
        crest_factor=math.ldexp(peak, -shift) / rms if peak else None,
    )


def summarise(v: Floats, size: int) -> NDArray[np.void]:
    """The summary of each run of `size` values, the last one shorter: SUMMARY records, shape (runs,)."""
    whole = len(v) // size
    parts = [v[: whole * size].reshape(whole, size)] if whole else []
    if whole * size < len(v):
        parts.append(v[np.newaxis, whole * size :])
    return np.concatenate([_summarise_rows(rows) for rows in parts] or [np.empty(0, SUMMARY)])


def _summarise_rows(rows: Floats) -> NDArray[np.void]:
    """The summary of each row; squares of deviations by the corrected two-pass formula of Chan, Golub, LeVeque 1983."""
    n = rows.shape[1]
    records = np.zeros(len(rows), SUMMARY)
    with np.errstate(over="ignore", invalid="ignore"):
        total, rest = exact_sums(rows)
        for far in np.flatnonzero(~np.isfinite(total)):
            total[far], rest[far] = _rounded(_exact(rows[far]))
        mean = (total + rest) / n
        # Divided first where the sum is beyond a double: the mean never is, once it is rounded to lie among the values.
        beyond = ~np.isfinite(total)
        far = rows[beyond]
        mean[beyond] = np.clip(np.sum(far / n, axis=1), far.min(axis=1), far.max(axis=1))
        deviations = rows - mean[:, np.newaxis]
        lag = np.sum(deviations, axis=1) / n
        m2 = np.sum(np.square(deviations), axis=1) - np.square(lag) * n
    for name, column in (
        ("n", n),
        ("sum", total),
        ("rest", rest),
        ("mean", mean),
        ("lag", lag),
        ("m2", np.maximum(m2, 0)),
    ):
        records[name] = column
    records["min"], records["max"] = rows.min(axis=1), rows.max(axis=1)
    return records


def exact_sums(rows: Floats) -> tuple[Floats, Floats]:
    """The sum of each row and what its rounding took, by Knuth's TwoSum over a binary tree.

    As exact as twice the digits are (Ogita, Rump, Oishi 2005, "Accurate sum and dot product").
    """
    high, low = rows, np.zeros_like(rows)
    while (width := high.shape[1]) > 1:
        if width % 2:
            pad = np.zeros((len(rows), 1))
            high, low = np.hstack([high, pad]), np.hstack([low, pad])
        a, b = high[:, ::2], high[:, 1::2]
        high = a + b
        back = high - a
        low = low[:, ::2] + low[:, 1::2] + ((a - (high - back)) + (b - back))
    return high[:, 0], low[:, 0]


def _sum(v: Floats) -> tuple[float, float]:
    """The sum and what its rounding took; infinite only where the sum itself is beyond a double."""
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [float(part[0]) for block in _blocks(v) for part in exact_sums(block[np.newaxis])]
    if all(map(math.isfinite, parts)):
        return exact_sum(parts)
    return _rounded(sum(map(_exact, _blocks(v)), ZERO))


def _moments(v: Floats, centre: float) -> tuple[float, float]:
    """The means of the deviations and of their squares."""
    sums, squares = list[float](), list[float]()
    for block in _blocks(v):
        deviations = block - centre
        sums.append(float(deviations.sum()))
        squares.append(float(np.square(deviations).sum()))
    return math.fsum(sums) / len(v), math.fsum(squares) / len(v)


def _blocks(v: Floats) -> Iterator[Floats]:
    """Parts of an array, so that what is calculated in between takes little memory, and none for long."""
    return (v[start : start + BLOCK] for start in range(0, len(v), BLOCK))


def _exact(v: Floats) -> Fraction:
    """The sum as it is, of values of any size: whole numbers are summed, exponent by exponent."""
    mantissas, exponents = np.frexp(v)
    order = np.argsort(exponents, kind="stable")
    whole = np.ldexp(mantissas[order], 53).astype(np.int64)
    found, starts = np.unique(exponents[order], return_index=True)
    # In halves, of which billions fit into 64 bits.
    halves = [np.add.reduceat(part, starts).tolist() for part in (whole >> 32, whole & 0xFFFFFFFF)]
    sums = ((high << 32) + low for high, low in zip(*halves, strict=True))
    return sum(
        (each * Fraction(2) ** (exponent - 53) for each, exponent in zip(sums, found.tolist(), strict=True)), ZERO
    )


def _rounded(exact: Fraction) -> tuple[float, float]:
    try:
        total = float(exact)
    except OverflowError:
        return math.inf, 0.0
    return total, float(exact - Fraction(total))


def merge(parts: NDArray[np.void]) -> NDArray[np.void]:
    """One summary of all the parts: a SUMMARY record, shape (1,).

    Squares of deviations merge as in Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm",
    for any number of parts at once; so nothing cancels, however far the values lie from zero.
    """
    merged = np.zeros(1, SUMMARY)
    if not (n := int(parts["n"].sum())):
        return merged
    with np.errstate(over="ignore", invalid="ignore"):
        total, rest = exact_sum([*parts["sum"].tolist(), *parts["rest"].tolist()])
        share = parts["n"] / n
        mean = (total + rest) / n
        if not math.isfinite(total):
            mean = float(np.clip((parts["mean"] * share).sum(), parts["min"].min(), parts["max"].max()))
        distances = (parts["mean"] - mean) + parts["lag"]
        lag = float((distances * share).sum())
        m2 = float((parts["m2"] + parts["n"] * np.square(distances - lag)).sum())
    merged[0] = (n, total, rest, mean, lag, m2, parts["min"].min(), parts["max"].max())
    return merged


def summary(parts: NDArray[np.void]) -> Summary:
    """What the parts say together. The sum is None also where only that of a part is beyond a double."""
    whole: Any = merge(parts)[0]
    n = int(whole["n"])
    if not n:
        return Summary(0, 0, None, None, None, None)
    return Summary(
        n=n,
        sum=_in_range(whole["sum"]),
        mean=_in_range(whole["mean"]),
        std=_in_range(math.sqrt(whole["m2"] / n) if math.isfinite(whole["m2"]) else math.inf),
        min=float(whole["min"]),
        max=float(whole["max"]),
    )


def exact_sum(numbers: list[float]) -> tuple[float, float]:
    """The correctly rounded sum and what its rounding took; infinite where it, or one of them, is beyond a double."""
    if not all(map(math.isfinite, numbers)):
        return math.inf, 0.0
    try:
        total = math.fsum(numbers)
        return total, math.fsum([*numbers, -total])
    except OverflowError:  # of a sum of some of them
        return _rounded(sum(map(Fraction, numbers), ZERO))


def _in_range(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
