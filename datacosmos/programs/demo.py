"""Sensors made up, for a service without any."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice

import structlog
import uuid_utils

from datacosmos.pipeline.publishing import publish_durably
from datacosmos.pipeline.queue import Queue
from datacosmos.settings import Settings
from datacosmos.simulators import sensors as simulated
from datacosmos.sources import sensors

log = structlog.stdlib.get_logger(__name__)
HISTORY = 1800  # records of simulated sensors


@asynccontextmanager
async def simulating_sensors(settings: Settings, queue: Queue, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Sensors made up, whose records of the last half hour are there at once, and one more each second."""
    task = asyncio.create_task(_simulate_sensors(settings, queue, stop))
    task.add_done_callback(_log_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("simulated sensors have ended", exc_info=error)


async def _simulate_sensors(settings: Settings, queue: Queue, stop: asyncio.Event) -> None:
    start = datetime.now(UTC).replace(tzinfo=None) - HISTORY * simulated.STEP
    records = simulated.records(start=start, faulty=0.01)
    source = sensors.source(settings)
    count = HISTORY
    while not stop.is_set():
        lines = [line.encode() for line in islice(records, count)]
        delivery = source.receive(lines, delivery_id=str(uuid_utils.uuid7()), received_at=datetime.now(UTC))
        await publish_durably(queue, delivery, stopping=stop, waiting=lambda fault: log.debug("waiting", fault=fault))
        count = 1
        await asyncio.sleep(simulated.STEP.total_seconds())
