"""Reclaims, on the side, the space of what was deleted or replaced, and of what a crash left behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from datacosmos.errors import Unavailable
from datacosmos.store.series.series import KEEP, SeriesStore

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def sweeping(
    series: SeriesStore, *, every: timedelta = timedelta(minutes=1), keep: timedelta = KEEP
) -> AsyncGenerator[None]:
    """Any number of processes may do so at once; what was cut short is finished the next time."""
    task = asyncio.create_task(_sweep(series, every, keep))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _sweep(series: SeriesStore, every: timedelta, keep: timedelta) -> None:
    while True:
        try:
            if removed := await series.sweep(keep):
                log.info("chunks reclaimed", count=removed)
        except Unavailable as error:
            log.warning("chunks not reclaimed", error=str(error))
        except Exception:
            log.exception("chunks not reclaimed")  # for want of space later, not of the service now
        await asyncio.sleep(every.total_seconds())
