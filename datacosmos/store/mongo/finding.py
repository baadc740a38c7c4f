"""A `find` whose replies stay bytes, and which ends in MongoDB too when nobody waits for it any more."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from operator import itemgetter
from typing import TypeVar

from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pymongo.errors import AutoReconnect, NetworkTimeout, PyMongoError, ServerSelectionTimeoutError

from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import Database, Document, client_of, for_reads, store_errors
from datacosmos.store.mongo.turns import Freely, Turns

T = TypeVar("T")
Reply = asyncio.Future[RawBSONDocument]
GROWTH = 8  # how many times as long as the one before it a batch may be
PATIENCE = 0.05  # seconds that an operation may go on after it was asked to end, before it is asked again


class Finder:
    """Finds in one collection, any number of times at once, in batches of about so many bytes."""

    def __init__(self, database: Database, collection: str, batch_bytes: int = 1 << 17) -> None:
        self._database, self._client = database, client_of(database)
        self._collection = collection
        self._batch_bytes = batch_bytes
        self._idle: list[_Session] = []

    async def batches(self, command: Document, *, freely: bool = False) -> AsyncGenerator[Batch]:
        """Each batch of what a `find` or an `aggregate` finds, each asked for once it is the list's turn.

        The command says how long the first is; each other is as long as its documents' size allows, by the one before.
        A caller at its client's speed reads `freely`, without turns, and bounds itself. A bare command makes no object
        for each document; but where a connection breaks, the driver retries its cursors only. Left early, the operation
        and its cursor end in MongoDB. Raises StoreUnavailable while MongoDB is unavailable, and Overloaded.
        """
        turns = Freely() if freely else Turns(self._client.lists, self._client.long_lists)
        size: int = command.get("cursor", command)["batchSize"]
        try:
            await turns.begin()
            async with self._session() as session:
                batch = await _first(session, command)
                while batch.cursor:
                    size = min(GROWTH * size, max(1, size * self._batch_bytes // batch.size))
                    more = {"getMore": batch.cursor, "collection": self._collection, "batchSize": size}
                    if goes_on := turns.may_go_on():
                        session.send(more)
                    yield batch
                    if not goes_on:
                        del batch
                        await turns.next()
                        session.send(more)
                    batch = await session.answer()
                yield batch
        finally:
            turns.end()

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator["_Session"]:
        session = self._idle.pop() if self._idle else _Session(self._database)
        try:
            with store_errors():
                yield session
        finally:
            if session.is_clear:
                self._idle.append(session)
            else:
                await session.end()

    async def pages(
        self, command: Document, make: Callable[[Document], T], *, freely: bool = False
    ) -> AsyncGenerator[list[T]]:
        """What is made of each document, in pages that are short enough for others to get their turn in between."""
        async with aclosing(self.batches(command, freely=freely)) as batches:
            async for batch in batches:
                for documents in batch.documents():
                    yield [make(document) for document in documents]
                    await asyncio.sleep(0)
                del batch  # the next may be long in coming

    async def count(self, where: Document) -> int:
        """One by one, in its turn among the lists; left early, it ends in MongoDB too."""
        stages = [{"$match": where}, {"$count": "count"}]
        command = {"aggregate": self._collection, "pipeline": stages, "cursor": {"batchSize": 1}}
        async with aclosing(self.pages(command, itemgetter("count"))) as pages:
            return sum([count async for page in pages for count in page])  # none where there is none


class _Session:
    """One command after the other, in a session of their own, by which MongoDB knows what to end.

    It is used again and again, as a new session costs a tenth of what a short `find` does.
    """

    def __init__(self, database: Database) -> None:
        self._database = for_reads(database)
        self._client = client_of(database)
        self._client_session = self._client.reads.start_session(causal_consistency=False)
        self._running: Reply | None = None
        self._is_sent = self._has_cursor = False

    @property
    def is_clear(self) -> bool:
        """Whether nothing runs or stands open."""
        return self._running is None and not self._has_cursor

    def send(self, command: Document, *, anew: bool = False) -> None:
        """Once there is a connection for it; `anew`, after one broke, as PyMongo does, which then looks around."""
        self._is_sent = False
        self._running = asyncio.ensure_future(self._run(command, anew))

    async def _run(self, command: Document, anew: bool) -> RawBSONDocument:
        async with self._client.read_turns:
            self._is_sent = True
            if self._client.wire is not None and not anew:
                return await self._client.wire.ask(self._database.name, command, self._client_session)
            return await self._database.command(
                command, session=self._client_session, codec_options=DEFAULT_RAW_BSON_OPTIONS
            )

    async def answer(self) -> Batch:
        assert self._running is not None  # noqa: S101 - something was sent
        batch = Batch(await asyncio.shield(self._running))
        self._has_cursor = batch.cursor != 0
        self._running = None  # whoever waits for its turn, or is idle, need not keep a reply
        return batch

    async def end(self) -> None:
        """Let go of the session, and end what still runs or stands open in it."""
        running = self._running
        if running is not None and not self._is_sent:
            running.cancel()
            running = None
        if running is not None:  # it may fail, and nobody waits for it any more
            running.add_done_callback(lambda reply: reply.cancelled() or reply.exception())
        try:
            if self._has_cursor or (running is not None and _is_open(running)):
                await self._kill(running)
        finally:
            if running is None or running.done():  # else its session must serve no other command
                await self._client_session.end_session()

    async def _kill(self, running: Reply | None) -> None:
        """Again and again until it is back: MongoDB may not even have read what is to end."""
        command = {"killSessions": [self._client_session.session_id]}
        with suppress(PyMongoError):  # MongoDB is unavailable, and ends by itself what lost its client
            await self._client.reads.admin.command(command)
            while running is not None and not running.done():
                await asyncio.wait({running}, timeout=PATIENCE)
                await self._client.reads.admin.command(command)


async def _first(session: _Session, command: Document) -> Batch:
    """Tried a second time where a connection broke, as the driver itself does for a cursor."""
    session.send(command)
    try:
        return await session.answer()
    except (ServerSelectionTimeoutError, NetworkTimeout):  # it has waited for long
        raise
    except AutoReconnect:
        session.send(command, anew=True)
        return await session.answer()


def _is_open(running: Reply) -> bool:
    """Whether it goes on, or left a cursor."""
    if not running.done():
        return True
    return not running.cancelled() and running.exception() is None and Batch(running.result()).cursor != 0
