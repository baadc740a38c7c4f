"""What the service answers, besides `domain.metrics.Metrics`; both ends of the wire read and write these."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Average:
    """Of `count` values; each is None where there are none or where it is beyond a double, but the sum of none is 0."""

    count: int
    avg: float | None
    sum: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the value lies with a probability of `level` percent."""

    level: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One point to come; `t` is in epoch seconds, an int where whole."""

    t: int | float
    v: float
    intervals: list[Interval]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The points to come, one `interval` (in seconds) after the other, as the newest `points_used` foretell them."""

    season_length: int
    points_used: int
    interval: float
    points: list[Foreseen]
