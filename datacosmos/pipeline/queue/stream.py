"""The stream of readings, and that of dead letters."""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import asyncio
import time
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
from datacosmos.domain.points import Delivery, Receipt, Status
from datacosmos.errors import QueueFull, QueueUnavailable
from datacosmos.pipeline.queue import consumer as consumers
from datacosmos.pipeline.queue.consumer import Consumer
from datacosmos.pipeline.queue.errors import queue_errors
from datacosmos.sources.encoded import Encoded

ACK_WAIT = timedelta(seconds=5)
"""After this long without a word from its writer a message goes to another; so long it waits after a kill."""
SAME_ID_WINDOW = timedelta(minutes=10)
"""For so long a message with the id of an earlier one adds nothing; a publish without an answer is tried again."""
MAX_ACK_PENDING = 100_000
OVERHEAD = 256  # bytes a message takes beside its payload: subject, headers, and the stream's own
NEARLY_FULL = 0.9
"""The part of the queue that polling may fill; the rest is kept for what is already under way."""

log = structlog.stdlib.get_logger(__name__)


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


class _State(msgspec.Struct):
    messages: int
    first_ts: datetime


class _Info(msgspec.Struct):
    """What the client leaves out of what the server tells of a stream."""

    state: _State


class Queue:
    """Every method raises QueueUnavailable while NATS is unavailable."""

    def __init__(self, client: Client, *, stream: str, max_bytes: int, replicas: int, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout.total_seconds()
        self._jetstream: JetStreamContext = client.jetstream(timeout=self._timeout)
        self._stream = stream
        self._dead = f"{stream}_dead"
        self._max_bytes, self._replicas = max_bytes, replicas
        self._room = 0.0
        self._room_known_until = 0.0
        self._left_over: int | None = None

    async def prepare(self) -> None:
        """Make the streams and the consumer where there are none; those there are stay as they are."""
        with queue_errors(self._replicas):
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
                    num_replicas=self._replicas,
                    duplicate_window=SAME_ID_WINDOW.total_seconds(),
                )
            )

    async def adjust(self) -> None:
        """Bring the streams' size and replicas to the settings'; all else is the operator's."""
        wanted = {"max_bytes": self._max_bytes, "num_replicas": self._replicas}
        with queue_errors(self._replicas):
            for name in (self._stream, self._dead):
                config = (await self._jetstream.stream_info(name)).config
                before = {field: getattr(config, field) for field in wanted}
                if before != wanted:
                    await self._jetstream.update_stream(config, **wanted)
                    log.warning("stream changed as set", stream=name, before=before, after=wanted)

    async def publish(self, delivery: Delivery | Encoded) -> None:
        """Returns once the delivery is durably on the queue; raises QueueFull where there is no room for it, and
        DeliveryTooLarge where it is larger than the server's max_payload."""
        encoded = Encoded.of(delivery) if isinstance(delivery, Delivery) else delivery
        receipt = encoded.receipt
        # The subject counts the readings, so that the stream itself can tell how many are in flight.
        subject = f"{self._stream}.{receipt.source}.{receipt.readings}"
        acknowledged = await self._publish(subject, encoded.payload, {"Nats-Msg-Id": receipt.delivery_id})
        self._room -= len(encoded.payload) + OVERHEAD
        if not acknowledged.duplicate:
            _count(receipt)

    async def _put_aside(self, message: Msg, fault: str) -> None:
        sequence = message.metadata.sequence.stream
        headers = {"Nats-Msg-Id": f"dead-{sequence}", "Fault": " ".join(fault.split())[:1000]}
        subject = message.subject.replace(self._stream, self._dead, 1)
        try:
            await self._publish(subject, message.data, headers)
        except QueueFull:
            raise QueueFull(f"the dead-letter stream {self._dead} is full: remove some of its messages") from None

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, Any]) -> PubAck:
        self._check_connection()
        with queue_errors():
            return await self._jetstream.publish(subject, payload, headers=headers)

    async def check_room(self) -> None:
        """Raises QueueFull when the queue is nearly full, QueueUnavailable when NATS is unavailable.

        What the server said holds for a second, less what was published from here since.
        """
        self._check_connection()
        if self._room <= 0 or time.monotonic() > self._room_known_until:
            await self.state()
        if self._room <= 0:
            raise QueueFull("the queue is nearly full")

    async def state(self) -> QueueState:
        self._check_connection()
        with queue_errors():
            readings, dead = await asyncio.gather(*map(self._jetstream.stream_info, (self._stream, self._dead)))
        state = QueueState(
            received=readings.state.last_seq,
            messages=readings.state.messages,
            bytes=readings.state.bytes,
            max_bytes=readings.config.max_bytes or 0,
            dead_lettered=dead.state.messages,
            dead_letters_full=dead.state.bytes > NEARLY_FULL * (dead.config.max_bytes or 0),
        )
        self._room = NEARLY_FULL * state.max_bytes - state.bytes
        self._room_known_until = time.monotonic() + 1
        return state

    def _check_connection(self) -> None:
        if not self._client.is_connected:
            raise QueueUnavailable("NATS is unavailable")

    async def oldest(self) -> datetime | None:
        """Since when the oldest message has been on the queue, written by nobody yet; None where there is none."""
        with queue_errors():
            answer = await self._client.request(f"$JS.API.STREAM.INFO.{self._stream}", timeout=self._timeout)
        try:
            state = msgspec.json.decode(answer.data, type=_Info).state
        except msgspec.ValidationError:  # it tells an error instead
            raise QueueUnavailable(f"NATS can't serve: nothing is known of the stream {self._stream}") from None
        return state.first_ts if state.messages else None

    async def sources(self) -> set[str]:
        """Every source that has messages on the queue, or put aside."""
        subjects: set[str] = set()
        with queue_errors():
            for stream in (self._stream, self._dead):
                info = await self._jetstream.stream_info(stream, subjects_filter=f"{stream}.>")
                subjects |= (info.state.subjects or {}).keys()
        return {subject.split(".")[1] for subject in subjects}

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


def _count(receipt: Receipt) -> None:
    metrics.RECEIVED.labels(receipt.source).inc(receipt.readings)
    for status, count in ((Status.ACCEPTED, receipt.accepted), (Status.DISCARDED, sum(receipt.discarded.values()))):
        if count:
            metrics.JUDGED.labels(receipt.source, status).inc(count)
