"""When a program begins and ends: engines may need a while, and a signal is heard at any time."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal, TypeVar

import structlog

from datacosmos.errors import Unavailable
from datacosmos.pipeline.backoff import backoff

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")
STARTUP = timedelta(seconds=30)


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Engines started at the same time may need a while."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STARTUP.total_seconds()
    failures = 0
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            if loop.time() > deadline:
                raise
            if failures == 0:
                log.warning("waiting", error=str(error), seconds=STARTUP.total_seconds())
        await asyncio.sleep(backoff(failures, first=timedelta(milliseconds=100), most=timedelta(seconds=2)))
        failures += 1


class Stop(asyncio.Event):
    """Knows whether the program has come so far as to wait for it."""

    awaited = False

    async def wait(self) -> Literal[True]:
        self.awaited = True
        return await super().wait()


@asynccontextmanager
async def told_to_stop() -> AsyncGenerator[Stop]:
    """Set by the first SIGINT or SIGTERM, which also ends what is still starting; a second one ends it all at once."""
    loop = asyncio.get_running_loop()
    program = asyncio.current_task()
    stop = Stop()

    def told() -> None:
        log.info("stopping")
        stop.set()
        if program is not None and not stop.awaited:
            program.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    try:
        yield stop
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
