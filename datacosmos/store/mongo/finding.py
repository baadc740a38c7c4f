"""A `find` whose replies stay bytes, and which ends in MongoDB too when nobody waits for it any more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from operator import itemgetter
from typing import Any, Generic, Protocol, Self, TypeVar

from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo.errors import AutoReconnect, NetworkTimeout, ServerSelectionTimeoutError

from datacosmos.slices import next_slice
from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import Database, Document, client_of, for_reads, store_errors
from datacosmos.store.mongo.turns import Freely, Turns, one_of
from datacosmos.store.mongo.wire import kill

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
GROWTH = 8  # how many times as long as the one before it a batch may be


class Batches(Protocol[T_co]):
    """What comes batch by batch, and is to be closed: something may stand open for it in MongoDB."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...
    def __anext__(self) -> Coroutine[Any, Any, T_co]: ...
    def aclose(self) -> Awaitable[None]: ...


class Finder:
    """Finds in one collection, any number of times at once, in batches of about so many bytes."""

    def __init__(self, database: Database, collection: str, batch_bytes: int = 1 << 17) -> None:
        self.database, self.collection, self.batch_bytes = database, collection, batch_bytes
        self.idle: list[Session] = []
        self._client = client_of(database)

    def read(self, command: Document, make: Callable[[Batch], T], *, freely: bool = False) -> "Reading[T]":
        """What is made of each batch of what a `find` or an `aggregate` finds, asked for once it is the list's turn.

        The command says how long the first is; each other is as long as its documents' size allows, by the one before.
        A caller at its client's speed reads `freely`, without turns, and bounds itself. A bare command makes no object
        for each document; but where a connection breaks, the driver retries its cursors only.
        """
        client = self._client
        turns = Freely() if freely else Turns(client.lists, client.long_lists, client.slow_lists)
        return Reading(self, command, make, turns)

    def batches(self, command: Document, *, freely: bool = False) -> "Reading[Batch]":
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
        command = {"aggregate": self.collection, "pipeline": stages, "cursor": {"batchSize": 1}}
        async with aclosing(self.pages(command, itemgetter("count"))) as pages:
            return sum([count async for page in pages for count in page])  # none where there is none


def _as_is(batch: Batch) -> Batch:
    return batch


class Reading(Generic[T]):
    """One list: what is made of its batches one after the other, each held a turn for until the next is asked for.

    Left early, it has to be closed, and the operation and its cursor end in MongoDB. Raises StoreUnavailable while
    MongoDB is unavailable, Overloaded, and what `make` raises.
    """

    def __init__(self, finder: Finder, command: Document, make: Callable[[Batch], T], turns: Turns | Freely) -> None:
        self._finder, self._make, self._turns = finder, make, turns
        self._size: int = command.get("cursor", command)["batchSize"]
        self._session: Session | None = None
        self._more: Document | None = command

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        more = self._more
        if more is None:
            await self.aclose()
            raise StopAsyncIteration
        try:
            return self._make(await (self._next(more, self._session) if self._session else self._first(more)))
        except BaseException:
            await self.aclose()
            with store_errors():
                raise

    async def aclose(self) -> None:
        """Once it is over, or has failed, it is closed."""
        session, self._session, self._more = self._session, None, None
        try:
            if session is not None and session.is_clear:
                self._finder.idle.append(session)
            elif session is not None:
                await asyncio.shield(session.end())  # however often its caller is cancelled
        finally:
            self._turns.end()

    async def _first(self, command: Document) -> Batch:
        """Tried a second time where a connection broke, as the driver itself does for a cursor."""
        await self._turns.begin()
        idle = self._finder.idle
        session = self._session = idle.pop() if idle else Session(self._finder.database)
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

    async def _next(self, command: Document, session: "Session") -> Batch:
        if not session.is_asked:
            await self._turns.next()
            session.send(command, self._turns.make_way)
        batch = self._note(await session.answer(), session)
        await next_slice()
        return batch

    def _note(self, batch: Batch, session: "Session") -> Batch:
        self._more = None
        if batch.cursor:
            self._size = min(GROWTH * self._size, max(1, self._size * self._finder.batch_bytes // batch.size))
            self._more = {"getMore": batch.cursor, "collection": self._finder.collection, "batchSize": self._size}
            if self._turns.may_go_on():
                session.send(self._more, self._turns.make_way)
        return batch


class Session:
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
