import itertools
import math
import sys
from dataclasses import astuple
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

from datacosmos.domain import metrics
from datacosmos.domain.metrics import Summary, measure, summarise, summary

Floats = NDArray[np.float64]
SCARCELY_MORE = 1 + Fraction(1, 1 << 40)
# Around zero, around a billion with little spread, tiny and huge.
MAGNITUDES = st.sampled_from(
    [(0.0, 1.0), (1e9, 1e-3), (1e9, 1.0), (-1e9, 5.0), (0.0, 1e-300), (0.0, 1e150), (1e300, 1e290)]
)
UNITS = st.lists(st.floats(-1, 1), min_size=1, max_size=200)
ANY_FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30).map(np.array)


@st.composite
def arrays(draw: st.DrawFn) -> Floats:
    offset, spread = draw(MAGNITUDES)
    return np.array(draw(UNITS)) * spread + offset


def exact_sum(v: Floats) -> float:
    return float(sum(map(Fraction, v.tolist()), Fraction()))


def cuts(v: Floats, places: list[int]) -> NDArray[np.void]:
    """Summaries of parts as long as the places say."""
    edges = sorted({0, len(v), *(place % (len(v) + 1) for place in places)})
    return np.concatenate([summarise(v[a:b], 4096) for a, b in itertools.pairwise(edges)])


@given(arrays())
def test_metrics_are_those_of_numpy_and_scipy(v: Floats) -> None:
    told = measure(v)
    assert (told.count, told.min, told.max) == (len(v), float(v.min()), float(v.max()))
    assert (told.median, told.p05, told.p95) == pytest.approx(tuple(np.quantile(v, [0.5, 0.05, 0.95])), rel=1e-14)
    assert told.sum is not None
    # The nearest double, by twice its digits: what lies beyond them can't decide which of two is nearer.
    assert abs(Fraction(told.sum) - sum(map(Fraction, v.tolist()))) <= Fraction(math.ulp(told.sum)) / 2 * SCARCELY_MORE
    assert told.mean == pytest.approx(exact_sum(v) / len(v), rel=1e-15)
    assert told.peak_to_peak == float(np.ptp(v))
    near = v - v[0]  # exact or nearly so, and near enough to zero for a plain deviation
    assert told.std == pytest.approx(float(np.std(near.astype(np.longdouble))), rel=1e-9, abs=np.ptp(v) * 1e-9)
    peak = float(np.abs(v).max()) or 1.0
    rms = float(cast("Any", stats).pmean(np.abs(v / peak), 2) * peak)
    assert told.rms == pytest.approx(rms, rel=1e-12)
    if told.rms:
        assert told.crest_factor == pytest.approx(float(np.abs(v).max()) / rms, rel=1e-12)


@given(arrays(), st.lists(st.integers(0, 10_000), max_size=20))
def test_cutting_shows_at_most_in_the_last_place(v: Floats, places: list[int]) -> None:
    told, whole = summary(cuts(v, places)), exact_sum(v)
    assert (told.n, told.min, told.max) == (len(v), float(v.min()), float(v.max()))
    assert told.sum is not None
    assert told.mean is not None
    assert abs(told.sum - whole) <= math.ulp(whole)
    in_the_sum = math.ulp(whole) / len(v)  # its last place, which may be two of the mean's
    assert abs(told.mean - whole / len(v)) <= in_the_sum + math.ulp(whole / len(v))
    if (in_one := summary(summarise(v, len(v))).std) is not None:
        assert told.std == pytest.approx(in_one, rel=1e-9, abs=float(np.ptp(v)) * 1e-9)


def test_a_deviation_survives_an_offset_of_a_billion() -> None:
    v = 1e9 + np.random.default_rng(1).normal(0, 0.01, 100_000)
    assert summary(summarise(v, 4096)).std == pytest.approx(float(np.std(v - 1e9)), rel=1e-9)
    assert measure(v).std == pytest.approx(float(np.std(v - 1e9)), rel=1e-9)


def test_what_cancels_between_parts_leaves_what_is_left() -> None:
    v = np.array([1e16, 1.0, -1e16, 1e-3] * 5000)
    assert summary(summarise(v, 4096)).sum == pytest.approx(exact_sum(v), rel=1e-15)
    assert measure(v).sum == pytest.approx(exact_sum(v), rel=1e-15)


@given(ANY_FLOATS, st.lists(st.integers(0, 10_000), max_size=5))
def test_no_statistic_is_ever_infinite_or_not_a_number(v: Floats, places: list[int]) -> None:
    told = [*astuple(measure(v)), *astuple(summary(cuts(v, places)))]
    assert all(number is None or math.isfinite(number) for number in told)


@given(ANY_FLOATS)
@example(np.full(3, sys.float_info.max))
@example(np.full(10, -sys.float_info.max))
def test_the_mean_is_known_even_where_the_sum_is_beyond_a_double(v: Floats) -> None:
    exact = float(sum(map(Fraction, v.tolist()), Fraction()) / len(v))
    peak = float(np.abs(v).max())
    assert measure(v).mean == pytest.approx(exact, rel=1e-14, abs=peak * 1e-15)
    assert summary(summarise(v, 7)).mean == pytest.approx(exact, rel=1e-13, abs=peak * 1e-15)


HUGE = st.sampled_from([1.7e308, 1e308, sys.float_info.max, 2.0**1023, 2.0**900, 1e270])
FAR_FLOATS = st.lists(
    HUGE | HUGE.map(float.__neg__) | st.floats(-1e9, 1e9) | st.sampled_from([5e-324, 1e-310]), min_size=1, max_size=12
).flatmap(st.permutations)


@given(FAR_FLOATS, st.lists(st.integers(0, 10_000), max_size=5))
@example([1.7e308, 1.7e308, -1.7e308, -1.7e308, 0.1], [])
@example([1.7e308, -1.7e308, 1 / 3], [1])
@example([1e308] * 3 + [-1e308] * 3, [1, 2, 4])
def test_a_sum_that_is_a_double_is_that_double_whatever_its_parts_are(values: list[float], places: list[int]) -> None:
    v = np.array(values)
    try:
        exact = exact_sum(v)
    except OverflowError:
        exact = None
    told, in_one, parted = measure(v), summary(summarise(v, len(v))), summary(cuts(v, places))
    # As exact as twice the digits of the largest.
    near = None if exact is None else pytest.approx(exact, rel=1e-15, abs=float(np.abs(v).max()) * 2.0**-95)
    assert (told.sum, in_one.sum) == (near, near)
    assert parted.sum in (None, near)  # None also where that of a part is beyond a double
    if exact is not None:
        assert told.mean == pytest.approx(exact / len(v), rel=1e-15, abs=float(np.abs(v).max()) * 2.0**-95)


@pytest.mark.parametrize("small", [0.1, 1e270, 5e-324, 0.0])
def test_what_huge_values_leave_when_they_cancel_is_exact(small: float) -> None:
    v = np.array([1.7e308, 1.7e308, small, -1.7e308, 0.25, -1.7e308])
    assert measure(v).sum == summary(summarise(v, len(v))).sum == exact_sum(v)


def test_parts_whose_sums_are_doubles_add_up_to_one_in_any_order() -> None:
    v = np.array([1.7e308, 1.7e308, -1.7e308, -1.6e308])
    assert summary(summarise(v, 1)).sum == exact_sum(v)


def test_small_values_beside_the_greatest_keep_their_quantiles() -> None:
    told = measure(np.array([1 / 3] * 19 + [1.7e308]))
    assert (told.p05, told.median) == (1 / 3, 1 / 3)


def test_a_sum_beyond_a_double_is_none_and_the_mean_is_not() -> None:
    v = np.full(10, 1.7e308)
    for told in (measure(v), summary(summarise(v, 3))):
        assert (told.sum, told.mean) == (None, pytest.approx(1.7e308))
    assert (measure(v).std, measure(v).rms, measure(v).crest_factor) == (0, pytest.approx(1.7e308), pytest.approx(1))
    assert measure(np.array([-1.7e308, 1.7e308])).peak_to_peak is None


def test_small_values_beside_a_huge_one_keep_their_median() -> None:
    assert measure(np.array([1e-300] * 9 + [1e300])).median == 1e-300


def test_nothing_adds_up_to_nothing() -> None:
    assert summary(summarise(np.empty(0), 4096)) == Summary(0, 0, None, None, None, None)
    assert (measure(np.empty(0)).count, measure(np.empty(0)).sum, measure(np.empty(0)).mean) == (0, 0, None)
    zeros = measure(np.zeros(3))
    assert (zeros.rms, zeros.crest_factor, zeros.std) == (0, None, 0)


@given(st.integers(1, 300), st.integers(1, 50))
def test_each_run_is_summarised_by_itself(count: int, size: int) -> None:
    v = np.random.default_rng(count).normal(1e9, 1, count)
    runs = [v[first : first + size] for first in range(0, count, size)]
    expected = np.concatenate([summarise(run, size) for run in runs])
    assert summarise(v, size).tobytes() == expected.tobytes()
    assert [record["n"] for record in metrics.summarise(v, size)] == [len(run) for run in runs]
