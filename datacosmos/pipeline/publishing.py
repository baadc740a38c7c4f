"""Puts on the queue what exists nowhere else any more."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from datacosmos import observability as metrics
from datacosmos.domain.points import Delivery
from datacosmos.errors import QueueUnavailable
from datacosmos.pipeline.queue import Queue
from datacosmos.retries import Backoff, retry

PUBLISHING = Backoff(first=timedelta(milliseconds=200), most=timedelta(seconds=5))


async def publish_durably(
    queue: Queue, delivery: Delivery, *, stopping: asyncio.Event, waiting: Callable[[str], None]
) -> bool:
    """Publish, however often that must be tried; `waiting` is told each fault. False where we are to stop first."""

    def failed(error: QueueUnavailable, _: int) -> None:
        waiting(str(error))
        metrics.PUBLISH_RETRIES.inc()

    try:
        await retry(lambda: queue.publish(delivery), PUBLISHING, on=QueueUnavailable, failed=failed, stopping=stopping)
    except QueueUnavailable:
        return False
    return True
