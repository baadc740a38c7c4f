"""A `find` whose replies stay bytes, and which ends in MongoDB too when nobody waits for it any more."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from operator import itemgetter
from typing import Any, TypeVar

from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo.errors import AutoReconnect, NetworkTimeout, ServerSelectionTimeoutError

from datacosmos.slices import next_slice
from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import Database, Document, client_of, for_reads, store_errors
from datacosmos.store.mongo.turns import Freely, Turns, one_of
from datacosmos.store.mongo.wire import kill

T = TypeVar("T")
GROWTH = 8  # how many times as long as the one before it a batch may be


class Finder:
    """Finds in one collection, any number of times at once, in batches of about so many bytes."""

    def __init__(self, database: Database, collection: str, batch_bytes: int = 1 << 17) -> None:
        self._database, self._client = database, client_of(database)
        self._collection = collection
        self._batch_bytes = batch_bytes
        self._idle: list[_Session] = []

    async def read(
        self, command: Document, make: Callable[[Batch], Awaitable[T]], *, freely: bool = False
    ) -> AsyncGenerator[T]:
        """What is made of each batch of what a `find` or an `aggregate` finds, asked for once it is the list's turn.

        The command says how long the first is; each other is as long as its documents' size allows, by the one before.
        A caller at its client's speed reads `freely`, without turns, and bounds itself. A bare command makes no object
        for each document; but where a connection breaks, the driver retries its cursors only. Left early, the operation
        and its cursor end in MongoDB. Raises StoreUnavailable while MongoDB is unavailable, Overloaded, and what `make`
        raises.
        """
        client = self._client
        turns = Freely() if freely else Turns(client.lists, client.long_lists, client.slow_lists)
        reading = _Reading(self._idle, self._database, turns, command, self._collection, self._batch_bytes)
        try:
            batch = await reading.first(command)
            while batch is not None:
                yield await make(batch)
                del batch  # the next may be long in coming
                batch = await reading.next()
        finally:
            await reading.end()

    def batches(self, command: Document, *, freely: bool = False) -> AsyncGenerator[Batch]:
        return self.read(command, _as_is, freely=freely)

    async def pages(
        self, command: Document, make: Callable[[Document], T], *, freely: bool = False
    ) -> AsyncGenerator[list[T]]:
        """What is made of each document, in pages that are short enough for others to get their turn in between."""
        is_first = True
        async with aclosing(self.batches(command, freely=freely)) as batches:
            async for batch in batches:
                for documents in batch.documents():
                    yield [make(document) for document in documents]
                    if not is_first:
                        await next_slice()
                del batch  # the next may be long in coming
                is_first = False

    async def count(self, where: Document) -> int:
        """One by one, in its turn among the lists; left early, it ends in MongoDB too."""
        stages = [{"$match": where}, {"$count": "count"}]
        command = {"aggregate": self._collection, "pipeline": stages, "cursor": {"batchSize": 1}}
        async with aclosing(self.pages(command, itemgetter("count"))) as pages:
            return sum([count async for page in pages for count in page])  # none where there is none


async def _as_is(batch: Batch) -> Batch:
    return batch


class _Reading:
    """One list: its batches one after the other, each held a turn for until the next is asked for."""

    def __init__(
        self,
        idle: list["_Session"],
        database: Database,
        turns: Turns | Freely,
        command: Document,
        collection: str,
        batch_bytes: int,
    ) -> None:
        self._idle, self._database, self._turns = idle, database, turns
        self._collection, self._batch_bytes = collection, batch_bytes
        self._size: int = command.get("cursor", command)["batchSize"]
        self._session: _Session | None = None
        self._more: Document | None = None

    async def first(self, command: Document) -> Batch:
        """Tried a second time where a connection broke, as the driver itself does for a cursor."""
        await self._turns.begin()
        session = self._session = self._idle.pop() if self._idle else _Session(self._database)
        with store_errors():
            try:
                if self._turns.is_long:  # behind another of its query
                    batch = await session.ask_for_long(command, self._turns.make_way)
                else:
                    batch = await session.ask(command)
            except (ServerSelectionTimeoutError, NetworkTimeout):  # it has waited for long
                raise
            except AutoReconnect:
                batch = await session.ask(command, anew=True)
        return self._note(batch, session)

    async def next(self) -> Batch | None:
        """None where there is none."""
        if self._more is None or self._session is None:
            return None
        with store_errors():
            if not self._session.is_asked:
                await self._turns.next()
                self._session.send(self._more, self._turns.make_way)
            batch = self._note(await self._session.answer(), self._session)
        await next_slice()
        return batch

    def _note(self, batch: Batch, session: "_Session") -> Batch:
        self._more = None
        if batch.cursor:
            self._size = min(GROWTH * self._size, max(1, self._size * self._batch_bytes // batch.size))
            self._more = {"getMore": batch.cursor, "collection": self._collection, "batchSize": self._size}
            if self._turns.may_go_on():
                session.send(self._more, self._turns.make_way)
        return batch

    async def end(self) -> None:
        try:
            if self._session is not None:
                if self._session.is_clear:
                    self._idle.append(self._session)
                else:
                    await self._session.end()
        finally:
            self._turns.end()


class _Session:
    """One command after the other, in a session of their own, by which MongoDB knows what to end.

    It is used again and again, as a new session costs a tenth of what a short `find` does.
    """

    def __init__(self, database: Database) -> None:
        self._database = for_reads(database)
        self._client = client_of(database)
        self._client_session = self._client.reads.start_session(causal_consistency=False)
        self._id: Mapping[str, Any] | None = None
        self._running: asyncio.Task[Batch] | None = None
        self._has_cursor = self._is_broken = False

    @property
    def is_clear(self) -> bool:
        """Whether nothing runs or stands open."""
        return self._running is None and not self._has_cursor and not self._is_broken

    @property
    def is_asked(self) -> bool:
        """Whether an answer is on its way."""
        return self._running is not None

    async def ask(self, command: Document, *, anew: bool = False) -> Batch:
        """Once there is a connection for it; `anew`, after one broke, as PyMongo does, which then looks around."""
        turns, wire = self._client.read_turns, self._client.wire
        await turns.acquire()
        try:
            if wire is None or anew:
                batch = Batch(await self._ask_slowly(command))
            else:
                self._id = self._id or await wire.id_of(self._client_session)
                batch = Batch(await wire.ask(self._database.name, command, self._id))
        except asyncio.CancelledError:
            self._has_cursor, self._is_broken = False, True  # it was ended
            raise
        finally:
            turns.release()
        self._has_cursor = batch.cursor != 0
        return batch

    async def _ask_slowly(self, command: Document) -> bytes:
        asking = self._database.command(command, session=self._client_session, codec_options=DEFAULT_RAW_BSON_OPTIONS)
        running = asyncio.ensure_future(asking)
        try:
            return bytes((await asyncio.shield(running)).raw)
        except asyncio.CancelledError:
            running.add_done_callback(lambda reply: reply.cancelled() or reply.exception())
            await kill(self._client.reads, self._client_session.session_id, running.done)
            raise

    def send(self, command: Document, make_way: Callable[[], None]) -> None:
        self._running = asyncio.create_task(self.ask_for_long(command, make_way))

    async def ask_for_long(self, command: Document, make_way: Callable[[], None]) -> Batch:
        async with one_of(self._client.long_reads, make_way):
            return await self.ask(command)

    async def answer(self) -> Batch:
        """Of what was sent."""
        assert self._running is not None  # noqa: S101 - something was sent
        running = self._running
        batch = await running
        self._running = None  # whoever waits for its turn, or is idle, need not keep a reply
        return batch

    async def end(self) -> None:
        """Let go of the session, and end what still runs or stands open in it."""
        running = self._running
        try:
            if running is not None and not running.done():
                running.cancel()
                await asyncio.wait({running})
            if running is not None and not running.cancelled():
                running.exception()  # nobody waits for it any more
            if self._has_cursor:
                await kill(self._client.reads, self._client_session.session_id, lambda: True)
        finally:
            if running is None or running.done():  # else its session must serve no other command
                await self._client_session.end_session()
