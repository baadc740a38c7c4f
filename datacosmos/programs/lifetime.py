"""When a program begins and ends: engines may need a while, and a signal may come at any time."""

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal, TypeVar

import structlog

from datacosmos.errors import Unavailable
from datacosmos.retries import Backoff, retry

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")
STARTUP = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=2), patience=timedelta(seconds=30))


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Engines started at the same time may need a while."""

    def failed(error: Unavailable, before: int) -> None:
        if before == 0:
            log.warning("waiting", error=str(error), seconds=STARTUP.patience.total_seconds())

    return await retry(attempt, STARTUP, on=Unavailable, failed=failed)


class Stop(asyncio.Event):
    """Knows whether the program has come so far as to wait for it."""

    awaited = False

    async def wait(self) -> Literal[True]:
        self.awaited = True
        return await super().wait()


@asynccontextmanager
async def stop_signal(*, aside: bool = False) -> AsyncGenerator[Stop]:
    """Set by the first SIGINT or SIGTERM, which also ends what is still starting; a second one ends it all at once.

    The log has a line for the beginning and the end of a stop, but not `aside`, where a parent of ours logs them.
    """
    loop = asyncio.get_running_loop()
    program = asyncio.current_task()
    stop = Stop()
    level = logging.DEBUG if aside else logging.INFO

    def begin_stop() -> None:
        log.log(level, "stopping")
        stop.set()
        if program is not None and not stop.awaited:
            program.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, begin_stop)
    try:
        yield stop
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    if stop.is_set():
        log.log(level, "stopped")
