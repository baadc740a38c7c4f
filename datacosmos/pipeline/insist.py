"""Puts on the queue what exists nowhere else any more."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from datacosmos import observability as metrics
from datacosmos.domain.points import Delivery
from datacosmos.errors import QueueUnavailable
from datacosmos.pipeline.backoff import backoff
from datacosmos.pipeline.queue import Queue

FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=200), timedelta(seconds=5)


async def insist(queue: Queue, delivery: Delivery, *, stopping: asyncio.Event, waiting: Callable[[str], None]) -> bool:
    """Publish, however often that must be tried; `waiting` is told each fault. False where we are to stop first."""
    failures = 0
    while True:
        try:
            await queue.publish(delivery)
        except QueueUnavailable as error:
            waiting(str(error))
            metrics.PUBLISH_RETRIES.inc()
        else:
            return True
        if stopping.is_set():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(backoff(failures, first=FIRST_PAUSE, most=LONGEST_PAUSE)):
                await stopping.wait()
        failures += 1
