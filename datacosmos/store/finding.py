"""A `find` whose replies stay bytes, and which ends in MongoDB too when nobody waits for it any more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClientSession, AsyncIOMotorCollection
from pymongo.errors import AutoReconnect, PyMongoError, ServerSelectionTimeoutError

from datacosmos.store.batches import Batch
from datacosmos.store.connection import Document

Reply = asyncio.Future[RawBSONDocument]
PATIENCE = 0.05  # seconds that an operation may go on after it was told to end, before it is told again


async def find_batches(collection: AsyncIOMotorCollection[Document], command: Document) -> AsyncGenerator[Batch]:
    """Each batch of what a `find` command finds; the next is on its way while one is worked on.

    A bare command is one trip to Motor's threads for each batch, and makes no object for each document; but where a
    connection breaks, the driver retries its cursors only. Left early, the operation and its cursor end in MongoDB.
    """
    asking = _Asking(collection)
    try:
        asking.send(command)
        try:
            batch = await asking.answer()
        except AutoReconnect as error:
            if isinstance(error, ServerSelectionTimeoutError):  # it has waited for long
                raise
            asking.send(command)
            batch = await asking.answer()
        while batch.cursor:
            asking.send({"getMore": batch.cursor, "collection": collection.name, "batchSize": command["batchSize"]})
            yield batch
            batch = await asking.answer()
        yield batch
    finally:
        await asking.end()


class _Asking:
    """One command after the other, in a session of their own, by which MongoDB knows what to end."""

    def __init__(self, collection: AsyncIOMotorCollection[Document]) -> None:
        self._database = collection.database
        client: Any = self._database.client
        # Motor's start_session goes through a thread as well, where there is nothing to wait for.
        self._session = AsyncIOMotorClientSession(client.delegate.start_session(causal_consistency=False), client)
        self._running: Reply | None = None

    def send(self, command: Document) -> None:
        self._running = self._database.command(command, session=self._session, codec_options=DEFAULT_RAW_BSON_OPTIONS)

    async def answer(self) -> Batch:
        assert self._running is not None  # noqa: S101 - something was sent
        return Batch(await asyncio.shield(self._running))

    async def end(self) -> None:
        """Let go of the session, and end what still runs or stands open in it."""
        try:
            if self._running is not None and _is_open(self._running):
                await self._kill(self._running)
        finally:
            self._session.delegate.end_session()

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


def _is_open(running: Reply) -> bool:
    """Whether it goes on, or left a cursor."""
    if not running.done():
        return True
    return not running.cancelled() and running.exception() is None and Batch(running.result()).cursor != 0
