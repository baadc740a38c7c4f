"""Statistics of one array, and how the summaries of parts merge into that of the whole.

A statistic beyond the range of a double (the sum of values near 1.7e308, say) is None, never infinite.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

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


def measure(v: Floats) -> Metrics:
    """Every metric of `v`, shape (n,), finite values in any order."""
    if not len(v):
        return Metrics(0, None, None, None, 0, *[None] * 7)
    peak = float(np.abs(v).max())
    exponent = math.frexp(peak)[1]
    # Scaled by a power of two, which costs no digit, where a square would leave the range of a double.
    shift = exponent if abs(exponent) > 400 else 0
    scaled = np.ldexp(v, -shift) if shift else v
    high, low = exact_sums(scaled[np.newaxis])
    total = float((high + low)[0])
    mean = total / len(v)
    deviations = scaled - mean
    variance = float(np.mean(np.square(deviations))) - float(np.mean(deviations)) ** 2
    rms = math.sqrt(float(np.mean(np.square(scaled))))
    # Of the unscaled, as small values beside a huge one would vanish; but their distance must be a double.
    p05, median, p95 = np.quantile(v if exponent < 1024 else scaled, [0.05, 0.5, 0.95]).tolist()

    def back(statistic: float, by: int = shift) -> float | None:
        with np.errstate(over="ignore"):
            return _in_range(np.ldexp(statistic, by))

    return Metrics(
        count=len(v),
        min=float(v.min()),
        max=float(v.max()),
        mean=back(mean),
        sum=back(total),
        std=back(math.sqrt(max(variance, 0.0))),
        median=back(median, shift if exponent >= 1024 else 0),
        p05=back(p05, shift if exponent >= 1024 else 0),
        p95=back(p95, shift if exponent >= 1024 else 0),
        rms=back(rms),
        peak_to_peak=back(float(scaled.max() - scaled.min())),
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


def merge(parts: NDArray[np.void]) -> NDArray[np.void]:
    """One summary of all the parts: a SUMMARY record, shape (1,).

    Squares of deviations merge as in Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm",
    for any number of parts at once; so nothing cancels, however far the values lie from zero.
    """
    merged = np.zeros(1, SUMMARY)
    if not (n := int(parts["n"].sum())):
        return merged
    with np.errstate(over="ignore", invalid="ignore"):
        total, rest = _exact_sum([*parts["sum"].tolist(), *parts["rest"].tolist()])
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
    """What the parts say together."""
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


def _exact_sum(numbers: list[float]) -> tuple[float, float]:
    """The correctly rounded sum and what its rounding took; infinite where it is beyond a double."""
    try:
        total = math.fsum(numbers)
        return total, math.fsum([*numbers, -total])
    except (OverflowError, ValueError):
        return math.inf, 0.0


def _in_range(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
