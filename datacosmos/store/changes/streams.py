"""A change stream of MongoDB, batch by batch, from any mark on."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bson.errors import BSONError
from pymongo.errors import OperationFailure, PyMongoError

from datacosmos.domain.changes import Accepted, Change, Discarded, Topic
from datacosmos.errors import CursorExpired, StoreUnavailable
from datacosmos.store.changes.events import is_of, stages, to_change
from datacosmos.store.changes.marks import time_of
from datacosmos.store.mongo.connection import UTC_TIMES, Database, Document, client_of, for_reads, read_errors
from datacosmos.store.points.queries import COLLECTION

AT_ONCE = 1000  # events in a batch, which is 16 MB at the most
EVENT, TAG = 1 << 10, 64  # bytes in memory: of one without its payload and tags, and of a tag without its text
WAIT = 1.0  # seconds that MongoDB waits for an event before it says that there is none
FUTURE = 10  # seconds
HISTORY_LOST = 286
ANEW = "read what is stored from a `start` on, which leads back to the live changes"
EXPIRED = f"the changes behind this cursor are no longer kept; {ANEW}"
DROPPED = f"all points were dropped behind this cursor, as they are where a backup is brought back; {ANEW}"


@dataclass(frozen=True)
class Batch:
    """Events in the order of their commits, and the mark up to which these are all; `at_end`: there were no more."""

    kind: type[Topic]
    events: Sequence[Any]
    mark: str
    at_end: bool

    @cached_property
    def size(self) -> int:
        """Bytes that the events take in memory, about."""
        return sum(_size(each["fullDocument"]) for each in self.events)

    @property
    def first(self) -> str:
        """The mark of the first event, of which there must be one."""
        return self.events[0]["_id"]["_data"]

    def changes(self, topic: Topic, after: str = "") -> list[Change]:
        """Those of a topic behind a mark."""
        events = self._by_series.get(topic.series, ()) if isinstance(topic, Accepted) else self.events
        found = (each for each in events if each["_id"]["_data"] > after)
        return [to_change(self.kind, each) for each in found if is_of(topic, each["fullDocument"])]

    @cached_property
    def _by_series(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for event in self.events:
            found.setdefault(event["fullDocument"]["series"], []).append(event)
        return found


def _size(point: Document) -> int:
    return EVENT + len(point.get("raw", b"")) + sum(TAG + len(tag) for tag in point["tags"])


class Stream:
    """One change stream of the points, which `opened` opens."""

    def __init__(self, database: Database, topics: Sequence[Topic]) -> None:
        self._database = for_reads(database)
        self._client = client_of(database).reads
        self._topics = topics
        self._kind = type(topics[0])
        self._session = self._client.start_session(causal_consistency=False)
        self._cursor = 0
        self._after = ""
        self._first: Document = {}

    async def open(self, after: str | None) -> str:
        """Behind a mark, or from now on where None; returns the mark at which it begins.

        Raises CursorExpired and StoreUnavailable.
        """
        since = {} if after is None else {"startAtOperationTime": time_of(after)}
        begin = {"$changeStream": {"fullDocument": "updateLookup", **since}}
        command = {
            "aggregate": COLLECTION,
            "pipeline": [begin, *stages(self._kind, self._topics)],
            "cursor": {"batchSize": AT_ONCE},
            "readConcern": {"level": "majority"},
        }
        reply = await self._ask(command)
        if after is not None and time_of(after).time > reply["operationTime"].time + FUTURE:
            raise CursorExpired(EXPIRED)  # of another database, as one that was brought back from a backup is
        self._cursor, self._first = reply["cursor"]["id"], reply["cursor"]
        self._after = after or reply["cursor"]["postBatchResumeToken"]["_data"]
        time_of(self._after)
        return self._after

    async def read(self, wait: float = WAIT) -> Batch:
        """The next events, or none after some seconds. Raises CursorExpired and StoreUnavailable."""
        cursor, self._first = self._first, {}
        if not cursor:
            if self._cursor == 0:  # it met what MongoDB calls an invalidation, and would meet it again
                raise CursorExpired(DROPPED)
            more = {"getMore": self._cursor, "collection": COLLECTION, "batchSize": AT_ONCE}
            cursor = (await self._ask({**more, "maxTimeMS": max(1, round(1000 * wait))}))["cursor"]
            self._cursor = cursor["id"]
        events: list[Document] = cursor["firstBatch" if "firstBatch" in cursor else "nextBatch"]
        mark = max(self._after, cursor["postBatchResumeToken"]["_data"])
        found = [each for each in events if each.get("fullDocument") and each["_id"]["_data"] > self._after]
        return Batch(self._kind, found, mark, at_end=not events)

    async def close(self) -> None:
        """MongoDB ends it at once, even where something still waits for it."""
        with suppress(PyMongoError):
            if self._cursor:
                await self._client.admin.command({"killSessions": [self._session.session_id]})
        with suppress(PyMongoError):
            await self._session.end_session()

    async def _ask(self, command: Document) -> Document:
        with _expiry(), read_errors():
            return await self._database.command(command, codec_options=UTC_TIMES, session=self._session)


@asynccontextmanager
async def opened(database: Database, topics: Sequence[Topic], after: str | None) -> AsyncGenerator[tuple[Stream, str]]:
    """A stream behind a mark, or from now on, and the mark at which it begins. Raises as its methods do."""
    stream = Stream(database, topics)
    try:
        yield stream, await stream.open(after)
    finally:
        await asyncio.shield(stream.close())


@contextmanager
def _expiry() -> Generator[None]:
    try:
        yield
    except OperationFailure as error:
        if error.code == HISTORY_LOST:
            raise CursorExpired(EXPIRED) from error
        raise StoreUnavailable(f"MongoDB has ended a change stream: code {error.code}") from error
    except BSONError as error:
        raise StoreUnavailable("MongoDB tells of a change that can't be read") from error


__all__ = ["Accepted", "Batch", "Discarded", "Stream", "opened"]
