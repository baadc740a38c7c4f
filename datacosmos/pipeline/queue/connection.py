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
from datacosmos.setting_types import parse_nats_servers

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def connect(
    url: str, *, stream: str, max_bytes: int, timeout: timedelta, replicas: int = 1
) -> AsyncGenerator[Queue]:
    """The queue behind one NATS connection, which is made again without limit whenever it is lost.

    `url` is one address or several, comma-separated. What they hold of credentials is given to the client apart from
    them, as it has none else for the servers of the cluster that it finds later.
    """
    servers = parse_nats_servers(url)
    where = ", ".join(str(urlsplit(address).hostname) for address in servers.addresses)
    faults: dict[str, None] = {}  # each once, in order

    async def note_fault(error: Exception) -> None:
        faults[str(error) or "no answer in time"] = None

    async def lost() -> None:
        if not client.is_closed:
            log.warning("queue connection lost", server=where)

    async def regained() -> None:
        log.info("queue connection regained", server=client.connected_url and client.connected_url.hostname)

    try:
        async with asyncio.timeout(timeout.total_seconds()):
            client = await nats.connect(
                servers.addresses,
                user=servers.user,
                password=servers.password,
                token=servers.token,
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
        yield Queue(client, stream=stream, max_bytes=max_bytes, replicas=replicas, timeout=timeout)
    finally:
        await client.close()
