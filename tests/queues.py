"""A stream of its own for each test, gone with it, and what tests do with one."""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import nats
from nats.js import JetStreamContext

from datacosmos.domain.points import Delivery, Point
from datacosmos.pipeline.queue import Queue, connect
from datacosmos.settings import Settings
from datacosmos.sources import data_server

[DATA_SERVER] = data_server.configured(Settings.model_construct())
RECEIVED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def nats_url(settings: Settings) -> str:
    assert settings.nats_url is not None
    return settings.nats_url.get_secret_value()


@asynccontextmanager
async def jetstream(settings: Settings) -> AsyncGenerator[JetStreamContext]:
    """What lies beneath the queue."""
    client = await nats.connect(nats_url(settings))
    try:
        yield client.jetstream()
    finally:
        await client.close()


@asynccontextmanager
async def open_queue(settings: Settings) -> AsyncGenerator[Queue]:
    url, stream = nats_url(settings), settings.nats_stream
    async with connect(url, stream=stream, max_bytes=settings.queue_max_bytes, timeout=settings.nats_timeout) as queue:
        await queue.prepare()
        try:
            yield queue
        finally:
            async with jetstream(settings) as context:
                for name in (stream, f"{stream}_dead"):
                    await context.delete_stream(name)


def delivery(delivery_id: str, body: bytes | None = None) -> Delivery:
    """What the poller makes of one body; without one, of an acceptable point."""
    if body is None:
        body = b'{"time": %d, "value": [218, 202, 115, 191], "tags": []}' % RECEIVED_AT.timestamp()
    return DATA_SERVER.receive([body], delivery_id=delivery_id, received_at=RECEIVED_AT)


def without_raw(point: Point) -> Point:
    """As an accepted point is read: its payload stays in the store."""
    return replace(point, reading=replace(point.reading, raw=b""))


async def emptied(queue: Queue) -> None:
    """Returns once everything was acknowledged or put aside."""
    async with asyncio.timeout(20):
        while (await queue.state()).messages:
            await asyncio.sleep(0.01)


async def take_all(queue: Queue) -> list[Delivery]:
    """Every delivery on the queue, taken off it, in order."""
    deliveries: list[Delivery] = []
    async with queue.consume() as consumer:
        while batch := await consumer.take(100, wait=timedelta(milliseconds=200)):
            for taken in batch:
                assert taken.delivery is not None, taken.fault
                deliveries.append(taken.delivery)
                await taken.acknowledge()
    return deliveries
