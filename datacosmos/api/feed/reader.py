"""One subscriber's way through the changes: the past, then what it missed, then what comes.

All of it follows from places (domain/changes.py). The past is read as it stood at one time, page by page; MongoDB keeps
what was for five minutes. Whoever takes longer, or comes back later, goes on as it stands now: of what was committed
since then, that behind the key where they are comes with the past, and the rest comes first, from a stream.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import inf

from datacosmos.api.feed.frames import Frame
from datacosmos.api.feed.hub import Hub, end
from datacosmos.api.feed.ring import Entry
from datacosmos.auth.issuers import EXPIRED
from datacosmos.bounds import Bound
from datacosmos.domain.changes import Change, Place, Topic, key_of
from datacosmos.errors import Lagging, Overloaded, StoreUnavailable, Unauthenticated
from datacosmos.retries import Backoff
from datacosmos.store.changes.changes import Changes
from datacosmos.store.changes.marks import seconds_between
from datacosmos.store.changes.past import Page, SnapshotGone
from datacosmos.store.changes.streams import Batch

HEARTBEAT = 15.0  # seconds
CATCH_UP = 60.0
"""Seconds in which a reader with a stream of their own must come nearer to the present."""
SOON = 0.05  # seconds that MongoDB is waited for where what is wanted should be there already
BACKOFF = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))
NOWHERE = Place("")
TRIES = 5  # of a snapshot that is gone as soon as it is asked for
TOO_SLOW = "changes come faster than they are read here: go on behind the cursor once there is time for more of them"
MakeFrame = Callable[[Place, Sequence[Change]], Frame]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the readers of a kind share; `own` bounds streams of their own, `past` those who read what is stored."""

    changes: Changes
    hub: Hub
    own: Bound
    past: Bound
    stopping: asyncio.Event


class Reader:
    """Makes frames for one subscriber; `expires` is when their token does, in seconds since the epoch."""

    def __init__(self, shared: Shared, topic: Topic, make_frame: MakeFrame, expires: float = inf) -> None:
        self._shared, self._hub = shared, shared.hub
        self._topic, self._make_frame, self._expires = topic, make_frame, expires
        self._place = NOWHERE
        self._has_told = False
        self._last = -inf  # when the last frame was made, or the first asked for, in the event loop's time

    async def frames(self, place: Place | None) -> AsyncGenerator[Frame]:
        """From a place on, or from now, until the process stops; the last one has the last cursor, if there is any.

        While MongoDB is unavailable, whoever has a cursor gets it again as a heartbeat: a client that is told of an
        error, or a browser of any status but 200, would give up. Raises CursorExpired, Lagging, StoreUnavailable,
        Overloaded and Unauthenticated.
        """
        self._place, self._last = place or NOWHERE, asyncio.get_running_loop().time()
        failures = 0
        async with self._hub.listening(self._topic):
            while self._goes_on():
                try:
                    async with aclosing(self._read(failures)) as frames:
                        async for frame in frames:
                            failures = 0 if frame.changes else failures  # a heartbeat tells nothing of MongoDB
                            yield frame
                    failures = 0
                except StoreUnavailable:
                    if not self._place.mark:
                        raise
                    if not self._has_told:
                        yield self._heartbeat()
                    failures += 1
            if self._place != NOWHERE:  # else a cursor would not tell from when on
                yield self._heartbeat()

    def _read(self, failures: int) -> AsyncGenerator[Frame]:
        """From the ring, or on the way to it. Raises the same."""
        number = self._number
        return self._on_time(self._approach(failures)) if number is None else self._follow(number)

    async def _approach(self, failures: int) -> AsyncGenerator[Frame]:
        """The past, and what was missed, until they are in the ring. Raises the same."""
        if failures:
            await BACKOFF.pause(failures - 1)
        await self._hub.opened(self._topic)
        if self._place == NOWHERE:
            self._place = Place(self._hub.ring.mark)
        if self._place.past is not None:
            async with self._shared.past.turn():
                async for frame in self._read_past():
                    yield frame
        if self._number is None and self._goes_on():
            async for frame in self._catch_up():
                yield frame

    @property
    def _number(self) -> int | None:
        """Of the next entry of the ring; None where it is not there, or is not to be read yet."""
        return None if self._place.past else self._hub.number_after(self._topic, self._place.mark)

    async def _on_time(self, frames: AsyncGenerator[Frame]) -> AsyncGenerator[Frame]:
        """The same, with heartbeats while MongoDB keeps the next one waiting; nor does it keep a stop waiting."""
        stopping = asyncio.ensure_future(self._shared.stopping.wait())
        reading = asyncio.ensure_future(anext(frames, None))
        try:
            while True:
                await asyncio.wait({reading, stopping}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    if (frame := reading.result()) is None:
                        return
                    yield frame
                    reading = asyncio.ensure_future(anext(frames, None))
                elif not self._goes_on():
                    return
                elif self._silence <= 0:
                    yield self._heartbeat()
        finally:
            place = self._place
            stopping.cancel()
            await end(reading)
            await frames.aclose()
            self._place = place  # what may have been read after all is told to nobody

    def _goes_on(self) -> bool:
        """Whether to. Raises Unauthenticated."""
        if time.time() >= self._expires:
            raise Unauthenticated(EXPIRED)
        return not self._shared.stopping.is_set()

    def _frame(self, changes: Sequence[Change] = ()) -> Frame:
        self._has_told, self._last = True, asyncio.get_running_loop().time()
        return self._make_frame(self._place, changes)

    def _heartbeat(self) -> Frame:
        return self._frame()

    @property
    def _silence(self) -> float:
        """Seconds for which nothing need be said; whoever has no cursor yet has nothing to say."""
        return HEARTBEAT - (asyncio.get_running_loop().time() - self._last) if self._place.mark else inf

    @property
    def _patience(self) -> float:
        """Seconds until there is something to say, or the token has expired."""
        return min(self._silence, self._expires - time.time())

    # The past

    async def _read_past(self) -> AsyncGenerator[Frame]:
        """Until all of it is read, which leaves a place without a past."""
        tries = 0
        while self._place.past is not None and self._goes_on():
            try:
                page = await self._shared.changes.page(self._topic, self._place.past)
                if self._place.mark:
                    async for frame in self._replay(page):
                        yield frame
                async for frame in self._turn_pages(page):
                    tries = 0
                    yield frame
            except SnapshotGone:
                tries += 1
                if tries == TRIES:
                    raise StoreUnavailable("MongoDB does not keep what was stored a moment ago") from None

    async def _turn_pages(self, page: Page) -> AsyncGenerator[Frame]:
        """Raises SnapshotGone."""
        while self._goes_on():
            self._place = Place(page.mark, page.last if page.changes else None)
            yield self._frame(page.changes)
            if not page.changes:
                return
            page = await self._shared.changes.page(self._topic, page.last, page.time)

    async def _replay(self, page: Page) -> AsyncGenerator[Frame]:
        """What was committed until the page was read, and lies in the part of the past that was read before."""
        key, end = self._place.past, page.mark
        assert key is not None  # noqa: S101  or else there is nothing to replay
        async with self._own_turn(), self._shared.changes.opened((self._topic,), self._place.mark) as (stream, _):
            while self._place.mark < end and self._goes_on():
                batch = await stream.read(SOON)
                changes = [
                    each
                    for each in batch.changes(self._topic, self._place.mark)
                    if each.mark < end and key_of(self._topic, each.point) <= key
                ]
                is_over = batch.mark >= end or (batch.at_end and batch.mark >= page.last_mark)
                self._place = Place(end if is_over else batch.mark, key)
                if changes:
                    yield self._frame(changes)

    # The present

    async def _follow(self, number: int) -> AsyncGenerator[Frame]:
        """What comes, from the ring; ends where this reader has fallen out of it."""
        if not self._has_told:
            yield self._heartbeat()  # where they are
        while self._goes_on():
            while (entry := self._hub.entry(number)) is not None:
                number += 1
                if frame := self._of_entry(entry):
                    yield frame
                    if not self._goes_on():
                        return
            if self._hub.ring.has_dropped(number):
                return
            if self._place.mark < self._hub.ring.mark:
                self._place = Place(self._hub.ring.mark)
            if self._silence <= 0:
                yield self._heartbeat()
            else:
                await self._hub.wait(number, self._patience)

    async def _catch_up(self) -> AsyncGenerator[Frame]:
        """What was committed before the ring begins, from a stream of their own. Raises Lagging."""
        async with self._own_turn(), self._shared.changes.opened((self._topic,), self._place.mark) as (stream, _):
            if not self._has_told:
                yield self._heartbeat()
            now = asyncio.get_running_loop().time
            deadline, behind = now() + CATCH_UP, self._behind
            while self._number is None and self._goes_on():
                batch = await stream.read(SOON)
                frame = self._of(batch)
                self._place = Place(batch.mark)
                if frame:
                    yield frame
                if now() > deadline:
                    if self._behind >= behind:
                        raise Lagging(TOO_SLOW)
                    deadline, behind = now() + CATCH_UP, self._behind

    @property
    def _behind(self) -> int:
        """Seconds of commits."""
        return seconds_between(self._place.mark, max(self._place.mark, self._hub.ring.mark))

    @asynccontextmanager
    async def _own_turn(self) -> AsyncGenerator[None]:
        """Raises Overloaded, or Lagging for whoever had read the present already."""
        try:
            taken = await self._shared.own.acquire()
        except Overloaded:
            if not self._has_told:
                raise
            raise Lagging(TOO_SLOW) from None
        try:
            yield
        finally:
            self._shared.own.give_back(taken)

    def _of_entry(self, entry: Entry) -> Frame | None:
        """The frame that all get, unless some of it was read before."""
        if entry.batch.first <= self._place.mark:
            return self._of(entry.batch)
        if frame := self._hub.ring.frame(entry, self._topic):
            self._place, self._last = frame.place, asyncio.get_running_loop().time()
        return frame

    def _of(self, batch: Batch) -> Frame | None:
        changes = batch.changes(self._topic, self._place.mark)
        if not changes:
            return None
        self._place = Place(batch.mark)
        return self._frame(changes)
