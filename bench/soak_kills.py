"""kill -9 at random moments, of one program, of one engine, or of all at once."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable

import psutil
from soak_programs import ENGINES, processes
from soak_readers import Outages, Readers

POLLER = "ingest"
VICTIMS = (POLLER, "write", "api", *ENGINES)
ALL = "all of them"
QUIET_START, QUIET_END = 5, 10  # seconds of the run in which nothing is killed


class Kills:
    """`done` counts them by victim; what fell together with the others counts by itself too."""

    def __init__(self, count: int, seconds: float, seed: int) -> None:
        chance = random.Random(seed)
        moments = sorted(chance.uniform(QUIET_START, max(QUIET_START, seconds - QUIET_END)) for _ in range(count))
        self._plan = [(moment, chance.choice((*VICTIMS, ALL))) for moment in moments]
        self.done: Counter[str] = Counter()

    async def run(self, readers: Readers, outages: Outages, tell: Callable[[str], None]) -> None:
        """Each at its moment, also while an earlier one is not yet overcome; returns once all are."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as recoveries:
            for moment, victim in self._plan:
                await asyncio.sleep(began + moment - time.monotonic())
                tell(f"kill -9 of {victim}")
                recoveries.create_task(self._kill(victim, readers, outages))

    async def _kill(self, victim: str, readers: Readers, outages: Outages) -> None:
        victims = set(VICTIMS) if victim == ALL else {victim}
        with outages.one():
            await asyncio.gather(*map(self._kill_one, victims))
            await until(lambda: victims <= processes().keys())
            await readers.wait_for_answers()

    async def _kill_one(self, victim: str) -> None:
        """Where it is just being started again, the moment it runs."""
        await until(lambda: victim in processes())
        process = processes()[victim]
        process.kill()
        self.done[victim] += 1
        await until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  what is watched are processes
        await asyncio.sleep(0.02)
