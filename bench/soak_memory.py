"""The memory of each process over time, and whether it is flat.

Flat means: over the second half of the run, resident memory grows, by its line of least squares, by no more than
32 MiB or a tenth; the collector of garbage in NATS alone lets it swing by half of that. Two things that fill up to a
limit are taken off first: what MongoDB's cache holds, by its own account, and what NATS keeps of the ids of the last
ten minutes' messages, at so many bytes each.
"""

import asyncio
import statistics
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psutil
import pymongo
from pymongo.errors import PyMongoError
from soak_programs import processes

from datacosmos.pipeline.queue import SAME_ID_WINDOW

MIB = 1 << 20
LEAST_ALLOWED, SHARE_ALLOWED = 32 * MIB, 0.1
EVERY = 1.0  # seconds
BYTES_OF_AN_ID = 300  # as measured, over 40,000 messages


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds, bytes resident, and those of them that count."""

    at: float
    resident: int
    counted: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes over the second half; None where the process is younger."""

    name: str
    growth: float | None
    allowed: float

    def __str__(self) -> str:
        if self.growth is None:
            return f"{self.name} (too young to judge)"
        return f"{self.name} {self.growth / MIB:+.1f} of {self.allowed / MIB:.0f}"

    @property
    def flat(self) -> bool:
        return self.growth is None or self.growth <= self.allowed


class Memory:
    """`resident` is the newest of each process, in bytes; `queued` counts the messages that were sent to the queue."""

    def __init__(self, mongodb_url: str, queued: Callable[[], int]) -> None:
        self._client = pymongo.AsyncMongoClient[dict[str, Any]](mongodb_url, serverSelectionTimeoutMS=500)
        self._queued, self._history = queued, deque[tuple[float, int]]()
        self._samples: dict[tuple[str, int], list[Sample]] = defaultdict(list)
        self.resident: dict[str, int] = {}

    async def run(self) -> None:
        async with self._client:
            while True:
                await self._sample()
                await asyncio.sleep(EVERY)

    async def _sample(self) -> None:
        filled = {"mongod": await self._cache(), "nats-server": BYTES_OF_AN_ID * self._known_ids()}
        self.resident = {}
        for name, process in processes().items():
            try:
                resident = process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self.resident[name] = resident
            if (filling := filled.get(name, 0)) is not None:
                self._samples[name, process.pid].append(Sample(monotonic(), resident, resident - filling))

    async def _cache(self) -> int | None:
        """The bytes in MongoDB's cache; None while it is unavailable."""
        try:
            status = await self._client.admin.command("serverStatus")
        except PyMongoError:
            return None
        return status["wiredTiger"]["cache"]["bytes currently in the cache"]

    def _known_ids(self) -> int:
        now, window = monotonic(), SAME_ID_WINDOW.total_seconds()
        self._history.append((now, self._queued()))
        while self._history[0][0] < now - window:
            self._history.popleft()
        return self._history[-1][1] - self._history[0][1]

    def growths(self) -> list[Growth]:
        """Of each process that runs now."""
        moments = [sample.at for samples in self._samples.values() for sample in samples]
        middle, end = (min(moments) + max(moments)) / 2, max(moments)
        last = [(name, samples) for (name, _), samples in self._samples.items() if samples[-1].at > end - 3 * EVERY]
        return [_growth(name, samples, middle) for name, samples in last]


def _growth(name: str, samples: list[Sample], middle: float) -> Growth:
    half = [sample for sample in samples if sample.at >= middle]
    allowed = max(LEAST_ALLOWED, SHARE_ALLOWED * half[0].resident)
    if samples[0].at > middle or len(half) < 3:
        return Growth(name, None, allowed)
    line = statistics.linear_regression([sample.at for sample in half], [sample.counted for sample in half])
    return Growth(name, line.slope * (half[-1].at - half[0].at), allowed)
