"""The connection to NATS."""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import nats
import nats.errors
import structlog

from datacosmos.errors import QueueUnavailable
from datacosmos.pipeline.queue.stream import Queue

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def connect(url: str, *, stream: str, max_bytes: int, timeout: timedelta) -> AsyncGenerator[Queue]:
    """The queue behind one NATS connection, which is made again without limit whenever it is lost."""
    where = urlsplit(url).hostname
    faults: dict[str, None] = {}  # each once, in order

    async def note_fault(error: Exception) -> None:
        faults[str(error) or type(error).__name__] = None

    async def lost() -> None:
        if not client.is_closed:
            log.warning("queue connection lost", server=where)

    async def regained() -> None:
        log.info("queue connection regained", server=where)

    try:
        async with asyncio.timeout(timeout.total_seconds()):
            client = await nats.connect(
                url,
                name="datacosmos",
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                ping_interval=5,
                max_outstanding_pings=2,
                error_cb=note_fault,
                disconnected_cb=lost,
                reconnected_cb=regained,
            )
    except (nats.errors.Error, OSError, TimeoutError):
        shown = "; ".join(faults) or "no answer"  # a refusal may show as a reset now and then
        raise QueueUnavailable(f"NATS at {where} can't be reached: {shown}") from None
    try:
        yield Queue(client, stream=stream, max_bytes=max_bytes, timeout=timeout)
    finally:
        await client.close()
