"""What is calculated of one stored series: read from the store, then worked out where nobody has to wait for it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from datacosmos.bounds import Bound
from datacosmos.calculation.answers import Average, Forecast
from datacosmos.calculation.cache import Cache
from datacosmos.calculation.forecast import Question, forecast
from datacosmos.calculation.pool import Pool
from datacosmos.domain import metrics
from datacosmos.domain.metrics import Metrics
from datacosmos.errors import CannotForecast, TooManyPoints, UnknownSeries
from datacosmos.store.series.roots import Snapshot
from datacosmos.store.series.series import SeriesStore
from datacosmos.threads import Threads

FORECASTS_KEPT = METRICS_KEPT = 512
THREADS, WAITING = 2, 100
ENOUGH = 0.9  # of the time that an answer may take: turns that have not come by then come too late
FAR = 5  # times the points at once are more than could be read in that time


@dataclass(frozen=True, slots=True)
class Key:
    """Which series: an id, or a name of one owner's, None being those without a token."""

    id: str | None = None
    owner: str | None = None
    name: str | None = None


@dataclass(slots=True)
class Calculator:
    """Every method raises UnknownSeries, SeriesGone where one is deleted meanwhile, and Unavailable.

    A range is in microseconds since the epoch, both ends inclusive, each open where None.
    """

    store: SeriesStore
    pool: Pool
    max_points: int
    most_at_once: int = 4_000_000
    timeout: timedelta = timedelta(seconds=5)
    _forecasts: Cache[Forecast] = field(default_factory=lambda: Cache[Forecast](FORECASTS_KEPT), init=False)
    _metrics: Cache[Metrics] = field(default_factory=lambda: Cache[Metrics](METRICS_KEPT), init=False)
    _points: Bound = field(init=False)
    _threads: Threads = field(init=False)

    def __post_init__(self) -> None:
        patience = self.timeout * ENOUGH
        self._points = Bound(
            "calculation", self.most_at_once, "points to calculate with", waiting=WAITING, patience=patience
        )
        self._threads = Threads("measuring", THREADS, "calculations", waiting=WAITING, patience=patience)

    async def average(self, key: Key, start: int | None, end: int | None) -> Average:
        """From the chunks' summaries: as quick for a long range as for a short one.

        From every value where a part's sum is beyond a double, as that of the whole may not be.
        """
        snapshot = await self._find(key)
        summary = metrics.summary(await self.store.summaries(snapshot, start, end))
        if summary.sum is None:
            with suppress(TooManyPoints):
                measured = await self.metrics(key, start, end)
                return Average(measured.count, measured.mean, measured.sum)
        return Average(summary.n, summary.mean, summary.sum)

    async def metrics(self, key: Key, start: int | None, end: int | None) -> Metrics:
        """From every value, as the percentiles need them all; once for all callers. Raises TooManyPoints."""
        snapshot = await self._find(key)
        points = snapshot.most_points(start, end)
        if points > FAR * self.most_at_once:
            raise TooManyPoints(
                f"the range holds about {points} points, more than the {FAR * self.most_at_once} that metrics are "
                "calculated of: ask for a shorter one"
            )

        async def calculate() -> Metrics:
            deadline = asyncio.get_running_loop().time() + (self.timeout * ENOUGH).total_seconds()
            async with self._points.turn(points):
                values = await self.store.values(snapshot, start, end)
                return await self._threads.run_by(deadline, metrics.measure, values, overwrite=True)

        return await self._metrics.get((snapshot.id, snapshot.version, start, end), calculate)

    async def forecast(self, key: Key, question: Question) -> Forecast:
        """Of the newest points. Raises CannotForecast."""
        if question.least_points > self.max_points:
            raise CannotForecast(
                f"season_length {question.season_length} is too long: a forecast looks at the newest {self.max_points} "
                "points, and they must hold two seasons"
            )
        snapshot = await self._find(key)

        async def calculate() -> Forecast:
            newest = await self.store.newest(snapshot, self.max_points)
            return await self.pool.run(forecast, newest, question)

        return await self._forecasts.get((snapshot.id, snapshot.version, question), calculate)

    async def _find(self, key: Key) -> Snapshot:
        if key.id is not None:
            found = await self.store.get(key.id)
        else:
            found = await self.store.find(key.owner, key.name or "")
        if found is None:
            raise UnknownSeries("there is no such series")
        return found
