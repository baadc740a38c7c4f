from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain import series
from datacosmos.domain.series import EARLIEST, LATEST, Samples

TIMES = st.lists(st.integers(-20, 20), max_size=40)
MOMENTS = st.integers(EARLIEST, LATEST)


def samples(times: list[int], first: int = 0) -> Samples:
    """Values that count up, so that each tells which one it is."""
    return Samples(np.array(times, np.int64), np.arange(first, first + len(times), dtype=np.float64))


def pairs(some: Samples) -> list[tuple[int, float]]:
    return list(zip(some.t.tolist(), some.v.tolist(), strict=True))


def first_wins(*some: Samples) -> list[tuple[int, float]]:
    model: dict[int, float] = {}
    for part in some:
        for t, v in pairs(part):
            model.setdefault(t, v)
    return sorted(model.items())


@given(TIMES)
def test_in_order_the_first_of_points_with_the_same_time_wins(times: list[int]) -> None:
    assert pairs(series.in_order(samples(times))) == first_wins(samples(times))


@given(TIMES)
def test_a_time_repeats_wherever_it_stood_before(times: list[int]) -> None:
    again = [index for index, t in enumerate(times) if t in times[:index]]
    assert series.repeats(np.array(times, np.int64)).tolist() == again


@given(TIMES, TIMES)
def test_stored_points_win_over_new_ones(stored: list[int], new: list[int]) -> None:
    old, late = samples(sorted(set(stored))), samples(new, 1000)
    assert pairs(series.merged(old, late)) == first_wins(old, late)


@given(TIMES, TIMES)
def test_a_time_is_known_where_it_is_stored(stored: list[int], asked: list[int]) -> None:
    known = series.known(np.array(sorted(set(stored)), np.int64), np.array(asked, np.int64))
    assert known.tolist() == [t in stored for t in asked]


@given(TIMES, st.none() | st.integers(-21, 21), st.none() | st.integers(-21, 21))
def test_both_ends_of_a_range_belong_to_it_and_each_may_be_open(
    times: list[int], start: int | None, end: int | None
) -> None:
    ordered = series.in_order(samples(times))
    inside = [(t, v) for t, v in pairs(ordered) if (start is None or t >= start) and (end is None or t <= end)]
    assert pairs(series.between(ordered, start, end)) == inside


@given(TIMES, st.integers(1, 10))
def test_cutting_loses_nothing_and_no_run_is_too_long(times: list[int], size: int) -> None:
    runs = series.cut(samples(times), size)
    assert [pair for run in runs for pair in pairs(run)] == pairs(samples(times))
    assert all(0 < len(run) <= size for run in runs)


@given(st.integers(0, 10_000), st.integers(1, 4096))
def test_even_runs_are_the_fewest_that_do_and_differ_by_little(count: int, most: int) -> None:
    size = series.even_size(count, most)
    runs = -(-count // size)
    assert size <= most
    assert runs == -(-count // most)


@pytest.mark.parametrize("rate", [1, 10, 1000, 1_000_000])
def test_evenly_sampled_times_are_exact_to_the_microsecond_and_do_not_drift(rate: int) -> None:
    even = series.evenly_sampled(5, Fraction(1_000_000, rate), np.zeros(100_001))
    assert even.t[::1000].tolist() == [5 + index * 1_000_000 // rate for index in range(0, 100_001, 1000)]


def test_a_step_that_is_no_whole_microsecond_is_rounded_at_each_time_by_itself() -> None:
    step = Fraction(10**6, 44_100)
    even = series.evenly_sampled(0, step, np.zeros(441_001))
    assert even.t[-1] == 10_000_000
    assert all(abs(int(even.t[index]) - index * step) <= Fraction(1, 2) for index in range(0, 441_001, 997))
    assert not len(series.repeats(even.t))


def test_even_sampling_ends_where_a_datetime_does() -> None:
    assert len(series.evenly_sampled(LATEST - 1, Fraction(1), np.zeros(2))) == 2
    with pytest.raises(OverflowError):
        series.evenly_sampled(LATEST - 1, Fraction(1), np.zeros(3))


def test_sampling_is_even_while_no_step_strays_from_the_mean() -> None:
    t = np.arange(0, 100_000_000, 1_000_000)
    assert series.sampling_interval(t) == 1_000_000
    assert series.sampling_interval(np.rint(np.arange(1000) * 1e6 / 44_100).astype(np.int64)) == pytest.approx(
        1e6 / 44_100, rel=1e-3
    )
    late = t.copy()
    late[50] += 20_000
    assert series.sampling_interval(late) is None
    assert series.sampling_interval(np.delete(t, 50)) is None
    assert series.sampling_interval(t[:1]) is None


@given(st.integers(-series.EXACT, series.EXACT) | st.integers(series.EXACT - 10**9, series.EXACT))
def test_epoch_seconds_come_back_as_they_were_sent(t: int) -> None:
    sent = t / 1_000_000
    stored = series.from_seconds(np.array([sent]))
    assert stored.tolist() == [t]
    assert series.to_seconds(stored) == [sent]


@given(st.integers(series.EARLIEST // series.SECOND, series.LATEST // series.SECOND))
def test_whole_seconds_come_back_whatever_the_year(seconds: int) -> None:
    stored = series.from_seconds(np.array([float(seconds)]))
    assert stored.tolist() == [seconds * series.SECOND]
    assert series.floats_tell(stored)
    assert series.to_seconds(stored) == [seconds]


def test_seconds_are_told_whole_where_they_are_whole() -> None:
    told = series.to_seconds(np.array([-1_000_000, 0, 1_500_000, 2_000_000]))
    assert [repr(t) for t in told] == ["-1", "0", "1.5", "2"]
    assert [repr(t) for t in series.to_seconds(np.array([3_000_000]))] == ["3"]


@pytest.mark.parametrize("seconds", [1e12, -1e12, 1e300, 253402300800.0])
def test_a_time_that_no_datetime_could_hold_is_refused(seconds: float) -> None:
    with pytest.raises(OverflowError):
        series.from_seconds(np.array([0.0, seconds]))


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_datetime_and_its_microseconds_mean_the_same(moment: datetime) -> None:
    assert series.EPOCH + timedelta(microseconds=series.from_datetime(moment)) == moment
