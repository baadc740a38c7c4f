"""The writers' side of the queue: messages taken, and what becomes of each."""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from datacosmos.domain.points import Delivery
from datacosmos.errors import QueueUnavailable
from datacosmos.pipeline.queue.errors import queue_errors

NAME = "writers"
MOST_BYTES = 1 << 20
"""What a writer takes at once, unless a single message is larger."""
ENDINGS = frozenset({"404", "408", "409"})  # no messages; time is up; what comes next does not fit
PATIENCE = timedelta(seconds=5)

DeadLetter = Callable[[Msg, str], Awaitable[None]]
_decoder = msgspec.msgpack.Decoder(Delivery)


class Taken:
    """One message in a writer's hands: acknowledged, given back, or put aside."""

    def __init__(self, message: Msg, dead_letter: DeadLetter) -> None:
        self._message = message
        self._dead_letter = dead_letter
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
        await self._dead_letter(self._message, fault)
        with queue_errors():
            await self._message.term()


class Consumer:
    """One of any number of readers of the queue.

    It asks by the protocol itself, as the client's own fetch can't bound how many bytes come at once.
    """

    def __init__(self, client: Client, stream: str, dead_letter: DeadLetter) -> None:
        self.inbox = client.new_inbox()
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{NAME}"
        self._dead_letter = dead_letter
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
        return [Taken(message, self._dead_letter) for message in messages]

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
