"""What is calculated of one stored series: read from the store, then worked out where nobody has to wait for it."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np

from datacosmos.calculation.answers import Average, Forecast
from datacosmos.calculation.cache import Cache
from datacosmos.calculation.forecast import Question, forecast
from datacosmos.calculation.pool import Pool
from datacosmos.domain import metrics
from datacosmos.domain.metrics import Floats, Metrics
from datacosmos.errors import CannotForecast, UnknownSeries
from datacosmos.store.roots import Snapshot
from datacosmos.store.series import SeriesStore

FORECASTS_KEPT = 512
# Full metrics hold every value of their range in memory, several times over: so only a few long series at once.
LONG = 1_000_000
LONG_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Key:
    """Which series: an id, or a name of one owner's, None being those without a token."""

    id: str | None = None
    owner: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Calculator:
    """Every method raises UnknownSeries, SeriesGone where one is deleted meanwhile, and StoreUnavailable.

    A range is in microseconds since the epoch, both ends inclusive, each open where None.
    """

    store: SeriesStore
    pool: Pool
    max_points: int
    _forecasts: Cache[Forecast] = field(default_factory=lambda: Cache[Forecast](FORECASTS_KEPT), init=False)
    _long: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LONG_AT_ONCE), init=False)

    async def average(self, key: Key, start: int | None, end: int | None) -> Average:
        """From the chunks' summaries: as quick for a long range as for a short one."""
        snapshot = await self._find(key)
        summary = metrics.summary(await self.store.summaries(snapshot, start, end))
        return Average(summary.n, summary.mean, summary.sum)

    async def metrics(self, key: Key, start: int | None, end: int | None) -> Metrics:
        """From every value, as the percentiles need them all."""
        snapshot = await self._find(key)
        async with self._long if snapshot.count > LONG else nullcontext():
            parts = [samples.v async for samples in self.store.chunks(snapshot, start, end)]
            return await asyncio.to_thread(_measure, parts)

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


def _measure(parts: list[Floats]) -> Metrics:
    return metrics.measure(np.concatenate(parts) if parts else np.empty(0))
