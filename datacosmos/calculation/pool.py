"""Processes for what would keep an event loop waiting: forecasts, whose search for parameters runs in Python.

What NumPy calculates, it does without holding up other threads, so for that a thread is enough, and no data is copied.
"""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

import structlog

from datacosmos.calculation.forecast import warm_up
from datacosmos.errors import CalculationUnavailable
from datacosmos.threads import begin_beside

log = structlog.stdlib.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

# Imported once, by the process that the others are forked from: so one that died is replaced within milliseconds.
PRELOADED = ["statsforecast.models", "datacosmos.calculation.forecast"]
# Calculations under way for each process: more would only be answered after their callers have given up.
MOST_UNDER_WAY = 32
NICE = 5  # how far calculations give way to what answers requests
# What a process that died, or can't be started, shows as.
BROKEN = (BrokenProcessPool, EOFError, OSError)


class Pool:
    """Warm processes, replaced together when one of them dies; they end with the process that made them."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._under_way = 0
        self._opening = asyncio.create_task(self._open())

    def check(self) -> str:
        """Whether it is ready yet. Raises CalculationUnavailable where its processes could not be started."""
        if not self._opening.done():
            return "warming up: forecasts wait"
        if self._opening.cancelled() or self._opening.exception() is not None:
            raise CalculationUnavailable("the processes for forecasts could not be started")
        return "ready"

    async def run(self, calculate: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result, or what `calculate` raised, after a wait while the pool warms up.

        When a process dies meanwhile, once more in a new pool. Raises CalculationUnavailable when one dies again, and
        when too much is under way already.
        """
        if self._under_way >= self._processes * MOST_UNDER_WAY:
            raise CalculationUnavailable("too many calculations are under way")
        self._under_way += 1
        try:
            return await self._run_again_once(calculate, *args, **kwargs)
        except BROKEN:
            raise CalculationUnavailable("the process that calculated this died, twice") from None
        finally:
            self._under_way -= 1

    async def _run_again_once(self, calculate: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        opening = self._opening
        try:
            return await self._submitted(calculate, *args, **kwargs)
        except BROKEN as error:
            log.warning("a process of the pool died, replacing them", error=repr(error))
            await self._replace(opening)
        return await self._submitted(calculate, *args, **kwargs)

    async def _submitted(self, calculate: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        executor = await asyncio.shield(self._opening)
        # Submitted by a thread, as a process may have to be started first.
        future = await asyncio.to_thread(executor.submit, calculate, *args, **kwargs)
        return await asyncio.wrap_future(future)

    async def _replace(self, broken: asyncio.Task[ProcessPoolExecutor]) -> None:
        """Unless another request has done so."""
        if self._opening is broken:
            self._opening = asyncio.create_task(self._open())
            await _closed(broken)

    async def _open(self) -> ProcessPoolExecutor:
        return await asyncio.to_thread(_warm_executor, self._processes)

    async def close(self) -> None:
        """Waits while the pool warms up: processes that start as their parent ends would complain."""
        await _closed(self._opening)


async def _closed(opening: asyncio.Task[ProcessPoolExecutor]) -> None:
    [outcome] = await asyncio.gather(opening, return_exceptions=True)
    if isinstance(outcome, ProcessPoolExecutor):
        await asyncio.to_thread(outcome.shutdown, cancel_futures=True)


def _warm_executor(processes: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    executor = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
    for future in [executor.submit(os.getpid) for _ in range(processes)]:
        future.result()
    return executor


def _begin() -> None:
    """What each process does first."""
    begin_beside(NICE)
    warm_up()


@asynccontextmanager
async def pool_of(processes: int) -> AsyncGenerator[Pool]:
    """The pool is there at once, and warms up on the side."""
    pool = Pool(processes)
    try:
        yield pool
    finally:
        await pool.close()
