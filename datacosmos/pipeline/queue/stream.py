"""The stream of readings, and that of dead letters."""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, PubAck, RetentionPolicy, StorageType, StreamConfig

from datacosmos import observability as metrics
from datacosmos.domain.points import Delivery
from datacosmos.errors import QueueFull, QueueUnavailable
from datacosmos.pipeline.queue import consumer as consumers
from datacosmos.pipeline.queue.consumer import Consumer
from datacosmos.pipeline.queue.errors import queue_errors

ACK_WAIT = timedelta(seconds=5)
"""After this long without a word from its writer a message goes to another; so long it waits after a kill."""
SAME_ID_WINDOW = timedelta(minutes=10)
"""For so long a message with the id of an earlier one adds nothing; a publish without an answer is tried again."""
MAX_ACK_PENDING = 100_000
OVERHEAD = 256  # bytes a message takes beside its payload: subject, headers, and the stream's own
NEARLY_FULL = 0.9
"""The part of the queue that polling may fill; the rest is kept for what is already under way."""

log = structlog.stdlib.get_logger(__name__)
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class QueueState:
    """Messages ever put on the queue, messages and bytes on it now, its limit, and messages put aside."""

    received: int
    messages: int
    bytes: int
    max_bytes: int
    dead_lettered: int
    dead_letters_full: bool


@dataclass(frozen=True, slots=True)
class Flight:
    """What one source has on a stream: messages, the readings in them, and when the oldest was put there."""

    messages: int
    readings: int
    oldest: datetime | None


class Queue:
    """Every method raises QueueUnavailable while NATS is away."""

    def __init__(self, client: Client, *, stream: str, max_bytes: int, timeout: timedelta) -> None:
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=timeout.total_seconds())
        self._stream = stream
        self._dead = f"{stream}_dead"
        self._max_bytes = max_bytes
        self._room = 0.0
        self._room_known_until = 0.0
        self._left_over: int | None = None

    async def prepare(self) -> None:
        """Make the streams and the consumer where there are none; those there are stay as they are."""
        with queue_errors():
            await self._make(self._stream, RetentionPolicy.WORK_QUEUE)
            await self._make(self._dead, RetentionPolicy.LIMITS)
            await self._jetstream.add_consumer(
                self._stream,
                ConsumerConfig(
                    durable_name=consumers.NAME,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT.total_seconds(),
                    max_deliver=-1,
                    max_ack_pending=MAX_ACK_PENDING,
                ),
            )

    async def _make(self, name: str, retention: RetentionPolicy) -> None:
        try:
            await self._jetstream.stream_info(name)
        except nats.js.errors.NotFoundError:
            await self._jetstream.add_stream(
                StreamConfig(
                    name=name,
                    subjects=[f"{name}.>"],
                    retention=retention,
                    storage=StorageType.FILE,
                    discard=DiscardPolicy.NEW,
                    max_bytes=self._max_bytes,
                    duplicate_window=SAME_ID_WINDOW.total_seconds(),
                )
            )

    async def resize(self) -> None:
        """Bring the streams' size to the setting's; all else, such as their replicas, is the operator's."""
        with queue_errors():
            for name in (self._stream, self._dead):
                config = (await self._jetstream.stream_info(name)).config
                if config.max_bytes != self._max_bytes:
                    await self._jetstream.update_stream(config, max_bytes=self._max_bytes)

    async def publish(self, delivery: Delivery) -> None:
        """Returns once the delivery is durably on the queue; raises QueueFull where there is no room for it, and
        DeliveryTooLarge where it is larger than the server's max_payload."""
        payload = _encoder.encode(delivery)
        # The subject counts the readings, so that the stream itself can tell how many are in flight.
        subject = f"{self._stream}.{delivery.source}.{len(delivery.points)}"
        acknowledged = await self._publish(subject, payload, {"Nats-Msg-Id": delivery.id})
        self._room -= len(payload) + OVERHEAD
        if not acknowledged.duplicate:
            _count(delivery)

    async def _put_aside(self, message: Msg, fault: str) -> None:
        sequence = message.metadata.sequence.stream
        headers = {"Nats-Msg-Id": f"dead-{sequence}", "Fault": " ".join(fault.split())[:1000]}
        subject = message.subject.replace(self._stream, self._dead, 1)
        try:
            await self._publish(subject, message.data, headers)
        except QueueFull:
            raise QueueFull(f"the dead-letter stream {self._dead} is full: remove some of its messages") from None

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, Any]) -> PubAck:
        if not self._client.is_connected:
            raise QueueUnavailable("NATS is away")
        with queue_errors():
            return await self._jetstream.publish(subject, payload, headers=headers)

    async def check_room(self) -> None:
        """Raises QueueFull when the queue is nearly full, QueueUnavailable when NATS is away.

        What the server said holds for a second, less what was published from here since.
        """
        if not self._client.is_connected:
            raise QueueUnavailable("NATS is away")
        if self._room <= 0 or time.monotonic() > self._room_known_until:
            state = await self.state()
            self._room = NEARLY_FULL * state.max_bytes - state.bytes
            self._room_known_until = time.monotonic() + 1
        if self._room <= 0:
            raise QueueFull("the queue is nearly full")

    async def state(self) -> QueueState:
        with queue_errors():
            readings = await self._jetstream.stream_info(self._stream)
            dead = await self._jetstream.stream_info(self._dead)
        return QueueState(
            received=readings.state.last_seq,
            messages=readings.state.messages,
            bytes=readings.state.bytes,
            max_bytes=readings.config.max_bytes or 0,
            dead_lettered=dead.state.messages,
            dead_letters_full=dead.state.bytes > NEARLY_FULL * (dead.config.max_bytes or 0),
        )

    async def in_flight(self, source: str) -> Flight:
        return await self._flight(self._stream, source)

    async def dead_letters(self, source: str) -> Flight:
        return await self._flight(self._dead, source)

    async def _flight(self, stream: str, source: str) -> Flight:
        subjects = f"{stream}.{source}.>"
        with queue_errors():
            info = await self._jetstream.stream_info(stream, subjects_filter=subjects)
            counts = [(_readings(subject), n) for subject, n in (info.state.subjects or {}).items()]
            try:
                oldest = await self._jetstream.get_msg(stream, seq=1, subject=subjects, next=True)
            except nats.js.errors.NotFoundError:
                oldest = None
        return Flight(
            messages=sum(n for _, n in counts),
            readings=sum(readings * n for readings, n in counts),
            oldest=oldest and oldest.time,
        )

    async def deliver_left_over(self) -> None:
        """Start the consumer anew where the stream still has what the consumer holds for acknowledged.

        So it is where the disk was full, or NATS was killed, as messages were taken off the stream: nobody would ever
        get them, though they count as in flight. Two looks, as an acknowledgement under way looks the same at one.
        """
        with queue_errors():
            floor = (await self._jetstream.consumer_info(self._stream, consumers.NAME)).ack_floor
            state = (await self._jetstream.stream_info(self._stream)).state
            first = state.first_seq if floor and state.messages and state.first_seq <= floor.stream_seq else None
            seen, self._left_over = self._left_over, first
            if first is not None and first == seen:
                self._left_over = None
                log.warning("messages were left over on the queue, delivering them again", first=first)
                await self._jetstream.delete_consumer(self._stream, consumers.NAME)
                await self.prepare()

    @asynccontextmanager
    async def consume(self) -> AsyncGenerator[Consumer]:
        await self.prepare()
        consumer = Consumer(self._client, self._stream, self._put_aside)
        with queue_errors():
            subscription = await self._client.subscribe(f"{consumer.inbox}.*", cb=consumer.arrived)
        try:
            yield consumer
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()


def _readings(subject: str) -> int:
    """In each message under this subject; none that we know of in a stranger's."""
    count = subject.rpartition(".")[2]
    return int(count) if count.isdecimal() else 0


def _count(delivery: Delivery) -> None:
    metrics.RECEIVED.labels(delivery.source).inc(len(delivery.points))
    for status, count in Counter(point.verdict.status for point in delivery.points).items():
        metrics.JUDGED.labels(delivery.source, status).inc(count)
