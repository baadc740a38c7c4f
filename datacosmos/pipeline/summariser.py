"""Keeps the summaries up to the points, on the side; answers never wait for it, they only get quicker by it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from datacosmos import observability as metrics
from datacosmos.errors import Unavailable
from datacosmos.store.summaries.building import Builder

log = structlog.stdlib.get_logger(__name__)
EVERY = timedelta(seconds=10)
SHARE = 20
"""It rests for so many times as long as it worked."""


@asynccontextmanager
async def summarising(builder: Builder, *, every: timedelta = EVERY) -> AsyncGenerator[None]:
    """In any number of processes, of which one works at a time; what was cut short is finished the next time."""
    task = asyncio.create_task(_summarise(builder, every.total_seconds()))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _summarise(builder: Builder, every: float) -> None:
    while True:
        began = time.monotonic()
        try:
            metrics.SUMMARISED.inc(await builder.catch_up() or 0)
        except Unavailable as error:
            log.warning("summaries not built", error=str(error))
        except Exception:
            log.exception("summaries not built")  # answers read the points instead
        await asyncio.sleep(max(every, SHARE * (time.monotonic() - began)))
