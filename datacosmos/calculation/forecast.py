"""Forecasts by exponential smoothing: AutoETS of statsforecast, with errors, trend and season that add up.

Additive models alone, so that the intervals have closed forms and a shift or a change of unit changes nothing else; and
they fit three times as fast as all models do: 500 points in 20 to 240 ms, whatever their shape.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from numpy.typing import NDArray

from datacosmos.calculation.answers import Forecast, Foreseen, Interval
from datacosmos.domain import series
from datacosmos.domain.series import SECOND, Samples
from datacosmos.errors import CannotForecast

Floats = NDArray[np.float64]

# As R's `forecast` has it: a longer season has too many states to fit, and is taken off by STL before.
LONGEST_FITTED_SEASON = 24
# What is free of noise has no likelihood, and the search for the greatest one goes on for five times as long.
NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class Question:
    """How far to look ahead, with intervals of which levels (percent), and after how many points things repeat."""

    horizon: int
    levels: tuple[float, ...]
    season_length: int = 1

    @property
    def least_points(self) -> int:
        """Two seasons, and more points than the criterion of choice (AICc) has parameters to weigh."""
        return max(2 * self.season_length, self.season_length + 9)


def forecast(samples: Samples, question: Question) -> Forecast:
    """Of samples in order. Raises CannotForecast where they are too few, uneven, or too far from zero."""
    _check(samples, question)
    mean, spans = _unscaled(samples.v, question)
    step = Fraction(int(samples.t[-1] - samples.t[0]), len(samples) - 1)
    try:
        times = series.evenly_sampled(int(samples.t[-1]), step, np.empty(question.horizon + 1)).t[1:]
    except OverflowError:
        raise CannotForecast("the forecast reaches beyond the year 9999: ask for a shorter horizon") from None
    if not series.floats_tell(times):
        raise CannotForecast("from the year 2242 on, only points at whole seconds are forecast")
    points = [
        Foreseen(t, v, [Interval(level, *span) for level, span in zip(question.levels, at, strict=True)])
        for t, v, at in zip(series.to_seconds(times), mean.tolist(), spans.tolist(), strict=True)
    ]
    return Forecast(question.season_length, len(samples), float(step / SECOND), points)


def _check(samples: Samples, question: Question) -> None:
    if len(samples) < question.least_points:
        raise CannotForecast(
            f"a forecast with season_length {question.season_length} needs {question.least_points} points or more, "
            f"but there are {len(samples)}: add some, or give a shorter season_length"
        )
    if series.sampling_interval(samples.t) is None:
        steps = np.diff(samples.t)
        worst = int(np.abs(steps - np.median(steps)).argmax())
        raise CannotForecast(
            f"the newest {len(samples)} points are not evenly sampled: after t = {samples.t[worst] / SECOND:.15g} the "
            f"step is {steps[worst] / SECOND:g} s, while most are about {np.median(steps) / SECOND:g} s"
        )


def _unscaled(v: Floats, question: Question) -> tuple[Floats, Floats]:
    """Of values of any size: the fit itself sees them centred, none larger than 1."""
    exponent = int(np.frexp(np.abs(v).max())[1])
    small = np.ldexp(v, -exponent)
    centre = float(small.mean())
    spread = float(np.abs(small - centre).max())
    if np.ptp(v) == 0:
        return np.full(question.horizon, v[0]), np.full((question.horizon, len(question.levels), 2), v[0])
    noise = NOISE * np.random.default_rng(0).standard_normal(len(v))
    results = _fitted((small - centre) / spread + noise, question)
    with np.errstate(over="ignore"):
        mean, spans = (np.ldexp(result * spread + centre, exponent) for result in results)
    if not (np.isfinite(mean).all() and np.isfinite(spans).all()):
        raise CannotForecast("the forecast leaves the range of a double: store the values in a larger unit")
    return mean, spans


def _fitted(y: Floats, question: Question) -> tuple[Floats, Floats]:
    """The expected values, shape (horizon,), and the ends of their intervals, shape (horizon, levels, 2)."""
    # Here, as it takes seconds to import, and only the processes of the pool need it.
    from statsforecast.models import MSTL, AutoETS  # noqa: PLC0415

    season = question.season_length
    if season <= LONGEST_FITTED_SEASON:
        model = AutoETS(season_length=season, model="AZZ")
    else:
        model = MSTL(season_length=season, trend_forecaster=AutoETS(model="AZN"))
    levels = sorted(question.levels)
    found = cast("dict[str, Floats]", model.forecast(y=y, h=question.horizon, level=cast("list[int]", levels) or None))
    spans = [np.stack([found[f"lo-{level}"], found[f"hi-{level}"]], axis=-1) for level in question.levels]
    return found["mean"], np.stack(spans, axis=1) if spans else np.empty((question.horizon, 0, 2))


def warm_up(seasons: Sequence[int] = (1, 2, LONGEST_FITTED_SEASON + 1)) -> None:
    """Import the library and call each of its paths once, as the first call takes longer."""
    for season in seasons:
        question = Question(1, (95,), season)
        count = question.least_points
        forecast(Samples(np.arange(count) * SECOND, np.sin(np.arange(count, dtype=np.float64))), question)
