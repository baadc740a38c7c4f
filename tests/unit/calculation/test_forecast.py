from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import ArrayLike

from datacosmos.calculation.answers import Forecast
from datacosmos.calculation.forecast import LONGEST_FITTED_SEASON, Question, forecast
from datacosmos.domain.metrics import Floats
from datacosmos.domain.series import LATEST, SECOND, Samples
from datacosmos.errors import CannotForecast
from tests.made_series import START, each_second, seasonal

LEVELS = (80.0, 95.0)


def values(answer: Forecast) -> list[float]:
    return [point.v for point in answer.points]


@pytest.mark.parametrize("season", [4, 7, LONGEST_FITTED_SEASON, 60, 168])
def test_a_seasonal_series_is_foretold_better_than_by_its_last_value_or_its_last_season(season: int) -> None:
    whole = seasonal(548, season)
    past, future = whole[:500], whole[500:].v
    foretold = np.array(values(forecast(past, Question(48, LEVELS, season))))

    def error(guess: Floats | float) -> float:
        return float(np.sqrt(np.square(guess - future).mean()))

    assert error(foretold) < 0.95 * error(np.resize(past.v[-season:], 48))
    assert error(foretold) < 0.5 * error(float(past.v[-1]))


@pytest.mark.parametrize("season", [1, 24, 60])
def test_an_interval_holds_what_comes_about_as_often_as_its_level_says(season: int) -> None:
    held = dict.fromkeys(LEVELS, 0)
    for seed in range(20):
        whole = seasonal(320, season, seed=seed)
        for point, v in zip(forecast(whole[:300], Question(20, LEVELS, season)).points, whole[300:].v, strict=True):
            for interval in point.intervals:
                held[interval.level] += interval.low <= v <= interval.high
    assert 0.65 < held[80] / 400 < 0.95
    assert 0.85 < held[95] / 400 <= 1


def test_a_higher_level_has_a_wider_interval_and_so_has_a_point_further_ahead() -> None:
    points = forecast(seasonal(300, 12), Question(24, LEVELS, 12)).points
    for point in points:
        narrow, wide = point.intervals
        assert wide.low < narrow.low < point.v < narrow.high < wide.high
    widths = [point.intervals[0].high - point.intervals[0].low for point in points]
    assert widths == sorted(widths)


def test_points_to_come_follow_in_the_step_of_those_there_are() -> None:
    t = START + np.arange(100) * SECOND // 4
    answer = forecast(Samples(t, np.sin(np.arange(100))), Question(4, ()))
    assert [point.t for point in answer.points] == [1_700_000_025, 1_700_000_025.25, 1_700_000_025.5, 1_700_000_025.75]
    assert (answer.interval, answer.points_used, answer.season_length) == (0.25, 100, 1)
    assert all(point.intervals == [] for point in answer.points)


def test_a_trend_goes_on() -> None:
    line = each_second(5 + 0.5 * np.arange(100))
    assert values(forecast(line, Question(3, LEVELS))) == pytest.approx([55, 55.5, 56], rel=1e-3)


@pytest.mark.parametrize("v", [0.0, 0.1, -1e300, 5e-324])
def test_what_never_changed_is_foretold_to_stay_with_no_doubt(v: float) -> None:
    for point in forecast(each_second(np.full(50, v)), Question(5, LEVELS)).points:
        assert {point.v, *(end for interval in point.intervals for end in (interval.low, interval.high))} == {v}


@pytest.mark.parametrize("season", [1, 4, 60])
def test_another_unit_or_zero_changes_nothing_else(season: int) -> None:
    kelvin = seasonal(200, max(season, 4))
    fahrenheit = Samples(kelvin.t, kelvin.v * 1.8 - 459.67)
    asked = Question(10, LEVELS, season)
    expected = np.array(values(forecast(kelvin, asked))) * 1.8 - 459.67
    assert values(forecast(fahrenheit, asked)) == pytest.approx(expected.tolist(), rel=1e-6)


SHAPES: dict[str, ArrayLike] = {
    "a wave without noise": 20 + np.sin(np.arange(300) * np.pi / 2),
    "a line": 0.1 * np.arange(300),
    "a saw": np.arange(300) % 4.0,
    "one spike": (np.arange(300) == 100) * 1.0,
    "a step at the end": (np.arange(300) == 299) * 1.0,
    "growth": np.exp(np.arange(300) / 20),
    "huge": 5e307 * (2 + np.sin(np.arange(300))),
    "subnormal": 5e-324 * (np.arange(300) % 5),
    "far from zero": 1e15 + np.sin(np.arange(300)),
}


@pytest.mark.parametrize("season", [1, 4, 24, 60])
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_its_shape_a_series_has_finite_forecasts(shape: str, season: int) -> None:
    answer = forecast(each_second(SHAPES[shape]), Question(30, LEVELS, season))
    for point in answer.points:
        numbers = [point.v, *(end for interval in point.intervals for end in (interval.low, interval.high))]
        assert np.isfinite(numbers).all(), asdict(point)


@pytest.mark.parametrize(("season", "least"), [(1, 10), (4, 13), (24, 48), (60, 120)])
def test_too_few_points_are_refused_with_the_number_that_it_takes(season: int, least: int) -> None:
    assert len(forecast(seasonal(least, 5), Question(3, LEVELS, season)).points) == 3
    with pytest.raises(CannotForecast, match=rf"needs {least} points or more, but there are {least - 1}"):
        forecast(seasonal(least - 1, 5), Question(3, LEVELS, season))
    with pytest.raises(CannotForecast, match="there are 0"):
        forecast(seasonal(0, 5), Question(3, LEVELS, season))


def test_uneven_points_are_refused_with_the_place() -> None:
    whole = seasonal(100, 5)
    gap = whole[np.delete(np.arange(100), [40, 41])]
    with pytest.raises(CannotForecast, match=r"not evenly sampled: after t = 1700000039 the step is 3 s.* about 1 s"):
        forecast(gap, Question(3, LEVELS))


def test_a_forecast_beyond_the_calendar_or_the_doubles_is_refused() -> None:
    late = Samples(LATEST - np.arange(100)[::-1] * SECOND, np.sin(np.arange(100)))
    with pytest.raises(CannotForecast, match="beyond the year 9999"):
        forecast(late, Question(3, LEVELS))
    with pytest.raises(CannotForecast, match="leaves the range of a double"):
        forecast(each_second(np.linspace(1e308, 1.79e308, 50)), Question(30, LEVELS))
