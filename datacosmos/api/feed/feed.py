"""Changes for all subscribers of a process."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from math import inf

from datacosmos.api.feed.cursors import Cursors
from datacosmos.api.feed.frames import Frame
from datacosmos.api.feed.hub import Hub
from datacosmos.api.feed.reader import Reader, Shared
from datacosmos.bounds import Bound
from datacosmos.domain.changes import Accepted, Change, Discarded, Place, Topic
from datacosmos.settings import Settings
from datacosmos.store.changes.changes import Changes
from datacosmos.store.changes.streams import Batch
from datacosmos.store.mongo.ranges import as_kept

OWN_STREAMS, PAST_READERS, WAITING = 16, 32, 1000
PATIENCE = timedelta(seconds=30)


class Feed:
    """Opens a stream of MongoDB for each kind of changes while anybody listens to it."""

    def __init__(self, settings: Settings, changes: Changes, secret: str) -> None:
        self._cursors = Cursors(secret)
        self._stopping = asyncio.Event()
        self._subscriptions = Bound("subscriptions", settings.subscriptions, "subscriptions")
        own = Bound("own_streams", OWN_STREAMS, "readers who are behind", waiting=WAITING)
        past = Bound("past_readers", PAST_READERS, "readers of the past", waiting=WAITING, patience=PATIENCE)
        self._shared: dict[type[Topic], Shared] = {
            kind: Shared(changes, Hub(changes, self._frame_of), own, past, self._stopping)
            for kind in (Accepted, Discarded)
        }

    def place(self, topic: Topic, start: datetime | None, cursor: str | None) -> Place | None:
        """Where a reader begins; None: now. Raises InvalidCursor."""
        if cursor:
            return self._cursors.read(topic, cursor)
        return None if start is None else Place("", (as_kept(start), ""))

    async def follow(self, topic: Topic, place: Place | None, *, expires: float = inf) -> AsyncGenerator[Frame]:
        """Frames from a place on, also without changes every 15 s, until the process stops.

        `expires`, in seconds since the epoch, is when the reader's token does. Raises CursorExpired, Lagging,
        StoreUnavailable where there is no cursor to wait with, Overloaded and Unauthenticated.
        """
        reader = Reader(self._shared[type(topic)], topic, partial(Frame, self._cursors, topic), expires)
        with self._subscriptions.holding():
            async with aclosing(reader.frames(place)) as frames:
                async for frame in frames:
                    yield frame

    @property
    def is_read(self) -> bool:
        """Whether a stream of MongoDB is open for anybody."""
        return any(shared.hub.is_read for shared in self._shared.values())

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ends each subscription with its last cursor."""
        self._stopping.set()
        for shared in self._shared.values():
            shared.hub.wake()

    def _frame_of(self, topic: Topic, batch: Batch) -> Frame | None:
        changes: Sequence[Change] = batch.changes(topic)
        return Frame(self._cursors, topic, Place(batch.mark), changes) if changes else None
