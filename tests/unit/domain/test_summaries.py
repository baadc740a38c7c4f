"""What runs of points add up to, beside a plain reckoning."""

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from datacosmos.domain.summaries import averages, by_bucket, extremes, gathered, into_buckets, single, spans

FINITE = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.lists(st.tuples(st.integers(0, 1000), FINITE), max_size=60)


def columns(points: list[tuple[int, float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    ordered = sorted(points, key=lambda point: point[0])
    return np.array([t for t, _ in ordered], np.int64), np.array([v for _, v in ordered], np.float64)


@given(POINTS, st.integers(1, 7))
def test_parts_of_parts_are_what_the_points_add_up_to(points: list[tuple[int, float]], pieces: int) -> None:
    t, v = columns(points)
    edges = np.array([0, 10, 500, 1001])
    whole = into_buckets(single(t, v), edges)
    # In pieces that lie between each other in time, as hours and minutes do.
    parts = [by_bucket(single(t[piece::pieces], v[piece::pieces]), edges) for piece in range(pieces)]
    merged = into_buckets(np.concatenate(parts), edges)
    for name in ("at", "n", "min", "max", "first_at", "last_at"):
        assert (merged[name] == whole[name]).all()
    for bucket, (low, high) in zip(merged, itertools.pairwise(edges), strict=True):
        inside = v[(t >= low) & (t < high)].tolist()
        assert bucket["n"] == len(inside)
        total = exact_sum(inside)
        assert bucket["sum"] == total or math.isclose(bucket["sum"], total, rel_tol=1e-15)


def exact_sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        scaled = math.fsum(value / 2**60 for value in values)
        try:
            return scaled * 2.0**60
        except OverflowError:
            return math.copysign(math.inf, scaled)


@given(FINITE, st.integers(1, 40))
def test_the_average_of_equal_values_is_that_value(value: float, count: int) -> None:
    [part] = gathered(single(np.arange(count), np.full(count, value)), np.zeros(count, np.int64))
    assert averages(np.array([part]))[0] == value


def test_an_average_is_known_where_the_sum_is_beyond_a_double() -> None:
    v = np.array([1.7e308, 1.7e308, 1.7e308, -1.7e308])
    [part] = gathered(single(np.arange(4), v), np.zeros(4, np.int64))
    assert math.isinf(part["sum"])
    assert averages(np.array([part]))[0] == 8.5e307


def test_what_is_huge_for_a_while_leaves_the_sum_as_it_is() -> None:
    v = np.array([1.7e308, 1.7e308, -1.7e308, -1.7e308])
    halves = gathered(single(np.arange(4), v), np.array([0, 0, 1, 1]))
    [part] = gathered(halves, np.zeros(2, np.int64))
    assert part["sum"] == 0


def test_there_is_no_average_of_nothing() -> None:
    [empty] = into_buckets(single(*columns([])), np.array([0, 1]))
    assert empty["n"] == 0
    assert np.isnan(averages(np.array([empty]))[0])


@given(POINTS, st.integers(1, 50))
def test_a_line_through_the_samples_looks_as_one_through_all_points(
    points: list[tuple[int, float]], width: int
) -> None:
    """Column by column of a drawing, it reaches as low and as high, and begins and ends where that does."""
    t, v = columns(points)
    edges = spans(0, 1000, width)
    times, values = extremes(into_buckets(single(t, v), edges))
    assert set(zip(times.tolist(), values.tolist(), strict=True)) <= set(zip(t.tolist(), v.tolist(), strict=True))
    assert (np.diff(times) >= 0).all()
    drawn, whole = into_buckets(single(times, values), edges), into_buckets(single(t, v), edges)
    for name in ("min", "max", "first_at", "last_at"):
        assert (drawn[name] == whole[name]).all()


@given(st.integers(-(10**17), 10**17), st.integers(0, 10**17), st.integers(1, 5000))
def test_spans_are_about_equal_and_hold_the_whole_range(start: int, length: int, width: int) -> None:
    edges = spans(start, start + length, width)
    assert (edges[0], edges[-1]) == (start, start + length + 1)
    assert np.ptp(np.diff(edges)) <= 1
    assert len(edges) <= width + 1
