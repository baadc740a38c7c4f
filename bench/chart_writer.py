"""What the writer pays for summaries: their marks, and a builder beside it, as in `datacosmos write`."""

import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from deliveries import Kind
from ingest import Engines, engines, write

from datacosmos.domain.points import Point
from datacosmos.pipeline.summariser import summarising
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from datacosmos.store.summaries.summaries import Summaries

MESSAGE = 1_000
OVER = (1, 100, 1_000)


class Paid(NamedTuple):
    """Readings a second, and microseconds of the writer's and MongoDB's processors a reading."""

    rate: float
    cpu: float


class Written(NamedTuple):
    ours: Paid
    bare: Paid


class Unnoted(Summaries):
    """For a writer without summaries."""

    def __init__(self) -> None: ...

    async def note(self, stored: Sequence[Point], redelivered: Sequence[Point] = ()) -> None: ...


async def measure_writer(folder: Path, rounds: int, readings: int) -> dict[int, Written]:
    """With and without summaries, in turns, by how many series the readings are of; medians of all rounds."""
    measured: dict[int, list[Written]] = {series: [] for series in OVER}
    async with engines(folder) as found:
        await found.clear()
        await Builder(found.database, Stores.of(found.database).summaries).catch_up()  # there is nothing older
        for number in range(rounds):
            for series, written in measured.items():
                kind = Kind("sensors", MESSAGE, sensors=series)
                both = {
                    is_ours: await _paid(found, kind, readings, is_ours) for is_ours in (number % 2 > 0, not number % 2)
                }
                written.append(Written(both[True], both[False]))
    return {series: _medians(written) for series, written in measured.items()}


async def _paid(found: Engines, kind: Kind, readings: int, is_ours: bool) -> Paid:
    spent = Spent(await found.database.client.admin.command("serverStatus"))
    beside = _building(found, spent) if is_ours else spent.counting()
    rate = await write(found, kind, readings, beside, _as_it_is if is_ours else _without)
    return Paid(rate, 1e6 * spent.seconds / readings)


class Spent:
    """Seconds of this process's and MongoDB's processors, from where what is counted begins."""

    def __init__(self, status: dict[str, int]) -> None:
        self._clock = ~int(status["pid"]) << 3 | 2  # what clock_getcpuclockid gives for it on Linux
        self.seconds = 0.0

    @asynccontextmanager
    async def counting(self) -> AsyncGenerator[None]:
        began = self._now()
        yield
        self.seconds = self._now() - began

    def _now(self) -> float:
        return time.process_time() + time.clock_gettime(self._clock)


@asynccontextmanager
async def _building(found: Engines, spent: Spent) -> AsyncGenerator[None]:
    builder = Builder(found.database, Stores.of(found.database).summaries)
    async with spent.counting(), summarising(builder):
        yield


def _as_it_is(stores: Stores) -> Stores:
    return stores


def _without(stores: Stores) -> Stores:
    return replace(stores, summaries=Unnoted())


def _medians(written: Sequence[Written]) -> Written:
    ours, bare = (
        Paid(*(statistics.median(of) for of in zip(*each, strict=True))) for each in zip(*written, strict=True)
    )
    return Written(ours, bare)
