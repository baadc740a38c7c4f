"""A `find` whose replies stay bytes, and which ends in MongoDB too when nobody waits for it any more."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect, PyMongoError, ServerSelectionTimeoutError

from datacosmos.store.batches import Batch
from datacosmos.store.connection import Document, store_errors

T = TypeVar("T")
Reply = asyncio.Future[RawBSONDocument]
GROWTH = 8  # how many times as long as the one before it a batch may be
PATIENCE = 0.05  # seconds that an operation may go on after it was told to end, before it is told again


class Finder:
    """Finds in one collection, any number of times at once, in batches of about so many bytes."""

    def __init__(self, collection: AsyncIOMotorCollection[Document], batch_bytes: int = 1 << 18) -> None:
        self._collection = collection
        self._batch_bytes = batch_bytes
        self._idle: list[_Line] = []

    async def batches(self, command: Document) -> AsyncGenerator[Batch]:
        """Each batch of what a `find` or an `aggregate` finds; the next is on its way while one is worked on.

        The command says how long the first is; each other is as long as its documents' size allows, by the one before.
        A bare command is one trip to Motor's threads for each batch, and makes no object for each document; but where
        a connection breaks, the driver retries its cursors only. Left early, the operation and its cursor end in
        MongoDB. Raises StoreUnavailable while MongoDB is away.
        """
        line = self._idle.pop() if self._idle else _Line(self._collection)
        size: int = command.get("cursor", command)["batchSize"]
        try:
            with store_errors():
                batch = await _first(line, command)
                while batch.cursor:
                    size = min(GROWTH * size, max(1, size * self._batch_bytes // batch.size))
                    line.send({"getMore": batch.cursor, "collection": self._collection.name, "batchSize": size})
                    yield batch
                    batch = await line.answer()
                yield batch
        finally:
            if line.is_clear:
                self._idle.append(line)
            else:
                await line.end()

    async def pages(self, command: Document, make: Callable[[Document], T]) -> AsyncGenerator[list[T]]:
        """What is made of each document, in pages that are short enough for others to get their turn in between."""
        async with aclosing(self.batches(command)) as batches:
            async for batch in batches:
                for documents in batch.documents():
                    yield [make(document) for document in documents]
                    await asyncio.sleep(0)


class _Line:
    """One command after the other, in a session of their own, by which MongoDB knows what to end.

    It is used again and again, as a new session costs a tenth of what a short `find` does.
    """

    def __init__(self, collection: AsyncIOMotorCollection[Document]) -> None:
        self._database = collection.database
        # Motor's start_session goes through a thread, where there is nothing to wait for.
        client: Any = self._database.client
        self._session: ClientSession = client.delegate.start_session(causal_consistency=False)
        self._running: Reply | None = None

    @property
    def is_clear(self) -> bool:
        """Whether nothing runs or stands open."""
        return self._running is None

    def send(self, command: Document) -> None:
        self._running = self._database.command(command, session=self._session, codec_options=DEFAULT_RAW_BSON_OPTIONS)

    async def answer(self) -> Batch:
        assert self._running is not None  # noqa: S101 - something was sent
        batch = Batch(await asyncio.shield(self._running))
        if batch.cursor == 0:
            self._running = None  # nor need a line that is idle for long keep the reply
        return batch

    async def end(self) -> None:
        """Let go of the session, and end what still runs or stands open in it."""
        try:
            if self._running is not None and _is_open(self._running):
                await self._kill(self._running)
        finally:
            self._session.end_session()

    async def _kill(self, running: Reply) -> None:
        """Again and again until our thread is back: it may not even have sent what is to end."""
        command = {"killSessions": [self._session.session_id]}
        with suppress(PyMongoError):  # MongoDB is away, and ends by itself what lost its client
            await self._database.client.admin.command(command)
            while not running.done():
                await asyncio.wait({running}, timeout=PATIENCE)
                await self._database.client.admin.command(command)
        if running.done() and not running.cancelled():
            running.exception()  # it is expected to have failed


async def _first(line: _Line, command: Document) -> Batch:
    """Tried a second time where a connection broke, as the driver itself does for a cursor."""
    line.send(command)
    try:
        return await line.answer()
    except ServerSelectionTimeoutError:  # it has waited for long
        raise
    except AutoReconnect:
        line.send(command)
        return await line.answer()


def _is_open(running: Reply) -> bool:
    """Whether it goes on, or left a cursor."""
    if not running.done():
        return True
    return not running.cancelled() and running.exception() is None and Batch(running.result()).cursor != 0
