"""The queue between receipt and store: one JetStream work-queue stream and one durable consumer for all writers.

A message is one Delivery, as MessagePack, under its id: publishing it again within the stream's window adds nothing.
"""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from datacosmos import observability as metrics
from datacosmos.domain.points import Delivery
from datacosmos.errors import DeliveryTooLarge, QueueFull, QueueUnavailable

CONSUMER = "writers"
ACK_WAIT = timedelta(seconds=5)
"""After this long without a word from its writer a message goes to another; so long it waits after a kill."""
SAME_ID_WINDOW = timedelta(minutes=10)
"""For so long a message with the id of an earlier one adds nothing; a publish without an answer is tried again."""
MAX_ACK_PENDING = 100_000
STREAM_FULL, NO_STORAGE = 10077, 10047
OVERHEAD = 256  # bytes a message takes beside its payload: subject, headers, and the stream's own
MOST_BYTES = 1 << 20
"""What a writer takes at once, unless a single message is larger."""
ENDINGS = frozenset({"404", "408", "409"})  # no messages; time is up; what comes next does not fit
PATIENCE = timedelta(seconds=5)
NEARLY_FULL = 0.9
"""The part of the queue that polling may fill; the rest is kept for what is already under way."""

log = structlog.stdlib.get_logger(__name__)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Delivery)


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


class Taken:
    """One message in a writer's hands: acknowledged, given back, or put aside."""

    def __init__(self, message: Msg, queue: "Queue") -> None:
        self._message = message
        self._queue = queue
        self.fault: str | None = None
        self.delivery: Delivery | None = None
        try:
            self.delivery = replace(_decoder.decode(message.data), sequence=message.metadata.sequence.stream)
        except (msgspec.DecodeError, ValueError) as error:
            self.fault = f"is no delivery: {error}"

    async def acknowledge(self) -> None:
        with queue_errors():
            await self._message.ack()

    async def keep(self) -> None:
        """Tell the queue that the work goes on, so that it is not delivered to another writer."""
        with queue_errors():
            await self._message.in_progress()

    async def give_back(self) -> None:
        with queue_errors():
            await self._message.nak()

    async def put_aside(self, fault: str) -> None:
        """Store it durably in the dead-letter stream with its fault, then take it off the queue."""
        await self._queue.dead_letter(self._message, fault)
        with queue_errors():
            await self._message.term()


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
                    durable_name=CONSUMER,
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
        await self._publish(subject, payload, {"Nats-Msg-Id": delivery.id})
        self._room -= len(payload) + OVERHEAD
        _count(delivery)

    async def dead_letter(self, message: Msg, fault: str) -> None:
        sequence = message.metadata.sequence.stream
        headers = {"Nats-Msg-Id": f"dead-{sequence}", "Fault": " ".join(fault.split())[:1000]}
        subject = message.subject.replace(self._stream, self._dead, 1)
        try:
            await self._publish(subject, message.data, headers)
        except QueueFull:
            raise QueueFull(f"the dead-letter stream {self._dead} is full: remove some of its messages") from None

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, Any]) -> None:
        if not self._client.is_connected:
            raise QueueUnavailable("NATS is away")
        with queue_errors():
            await self._jetstream.publish(subject, payload, headers=headers)

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
            floor = (await self._jetstream.consumer_info(self._stream, CONSUMER)).ack_floor
            state = (await self._jetstream.stream_info(self._stream)).state
            first = state.first_seq if floor and state.messages and state.first_seq <= floor.stream_seq else None
            seen, self._left_over = self._left_over, first
            if first is not None and first == seen:
                self._left_over = None
                log.warning("messages were left over on the queue, delivering them again", first=first)
                await self._jetstream.delete_consumer(self._stream, CONSUMER)
                await self.prepare()

    @asynccontextmanager
    async def consume(self) -> AsyncGenerator["Consumer"]:
        await self.prepare()
        consumer = Consumer(self._client, self._stream, self)
        with queue_errors():
            subscription = await self._client.subscribe(f"{consumer.inbox}.*", cb=consumer.arrived)
        try:
            yield consumer
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()


class Consumer:
    """One of any number of readers of the queue.

    It asks by the protocol itself, as the client's own fetch can't bound how many bytes come at once.
    """

    def __init__(self, client: Client, stream: str, queue: Queue) -> None:
        self.inbox = client.new_inbox()
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}"
        self._queue = queue
        self._asked = 0
        self._arrived: list[Msg] = []
        self._wanted = 0
        self._ended = asyncio.Event()
        self._fault: str | None = None

    async def take(self, limit: int, *, wait: timedelta) -> list[Taken]:
        """Up to `limit` messages: those there are, or the first that comes; none after `wait`."""
        messages = await self._pull(limit, PATIENCE, max_bytes=MOST_BYTES, no_wait=True)
        if not messages:
            messages = await self._pull(1, wait, expires=wait // timedelta(microseconds=1) * 1000)
        return [Taken(message, self._queue) for message in messages]

    async def _pull(self, batch: int, patience: timedelta, **bounds: Any) -> list[Msg]:
        """What has arrived by the time that the answer is complete, also to earlier questions."""
        self._asked += 1
        self._wanted = batch
        self._ended.clear()
        request = msgspec.json.encode({"batch": batch} | bounds)
        with queue_errors():
            await self._client.publish(self._next, request, reply=f"{self.inbox}.{self._asked}")
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                await self._ended.wait()
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise QueueUnavailable(f"NATS can't serve: {fault}")
        arrived, self._arrived = self._arrived, []
        return arrived

    async def arrived(self, message: Msg) -> None:
        """A message, or a status, which comes under the subject of the question that it ends."""
        status = (message.headers or {}).get("Status") if message.subject.startswith(self.inbox) else None
        if status is None:
            self._arrived.append(message)
            if len(self._arrived) >= self._wanted:
                self._ended.set()
        elif message.subject == f"{self.inbox}.{self._asked}":
            if status not in ENDINGS:
                self._fault = f"{status} {(message.headers or {}).get('Description', '')}".strip()
            self._ended.set()


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


def _readings(subject: str) -> int:
    """In each message under this subject; none that we know of in a stranger's."""
    count = subject.rpartition(".")[2]
    return int(count) if count.isdecimal() else 0


def _count(delivery: Delivery) -> None:
    metrics.RECEIVED.labels(delivery.source).inc(len(delivery.points))
    for status, count in Counter(point.verdict.status for point in delivery.points).items():
        metrics.JUDGED.labels(delivery.source, status).inc(count)


@contextmanager
def queue_errors() -> Generator[None]:
    """Turns what the client raises while NATS can't serve into QueueUnavailable."""
    try:
        yield
    except nats.js.errors.APIError as error:
        if error.err_code == STREAM_FULL:
            raise QueueFull("the queue is full") from error
        if error.err_code == NO_STORAGE:
            raise QueueUnavailable(
                "NATS has not the space for the queue: free some on its disk, or lower DATACOSMOS_QUEUE_MAX_BYTES"
            ) from error
        raise QueueUnavailable(f"NATS can't serve: {error.description}") from error
    except nats.errors.MaxPayloadError:
        raise DeliveryTooLarge("the readings together are larger than a message of NATS; send fewer at once") from None
    except (nats.errors.Error, TimeoutError) as error:
        raise QueueUnavailable(f"NATS is away: {type(error).__name__}") from error
