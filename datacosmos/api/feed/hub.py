"""One stream of MongoDB for all subscribers of a kind, read into a ring while there are any."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

from datacosmos.api.feed.ring import Entry, MakeFrame, Ring
from datacosmos.domain.changes import Accepted, Discarded, Topic
from datacosmos.errors import CursorExpired, DatacosmosError, StoreUnavailable, Unavailable
from datacosmos.retries import Backoff
from datacosmos.store.changes.changes import Changes
from datacosmos.store.changes.streams import Stream

log = structlog.stdlib.get_logger(__name__)
PAUSE, LONGEST_PAUSE = 0.00014, 0.07
"""Seconds, by subscriber, before MongoDB is asked again: the more there are, the more events each is told at once."""
PATIENCE = 1.0  # seconds in which a stream ends
BACKOFF = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))


class Hub:
    """Reads a stream while anybody listens.

    MongoDB is asked for those topics alone that somebody listens to, of discards for all. A topic that joins later
    is in the ring from the mark on at which the stream was opened anew for it.
    """

    def __init__(self, changes: Changes, make_frame: MakeFrame) -> None:
        self._changes = changes
        self.ring = Ring(make_frame)
        self._listeners = Counter[Topic]()
        self._since: dict[Topic, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._waiting = set[asyncio.Future[None]]()
        self._lost: DatacosmosError | None = None
        self._failures = 0

    @asynccontextmanager
    async def listening(self, topic: Topic) -> AsyncGenerator[None]:
        """While somebody is inside, the topic is read, once it was `opened`."""
        asked = _asked(topic)
        self._listeners[asked] += 1
        try:
            yield
        finally:
            self._listeners[asked] -= 1
            self._listeners = +self._listeners
            if not self._listeners:
                await self._end()

    async def opened(self, topic: Topic) -> None:
        """Returns once the topic is read. Raises StoreUnavailable where it can't be."""
        while _asked(topic) not in self._since:
            await asyncio.shield(self._opening())

    def _opening(self) -> asyncio.Future[None]:
        """Until a stream of all topics is open."""
        if self._task is None:
            self._begin()
        elif self._opened is None or self._opened.done():
            self._opened = _future()
            if self._patience is not None:
                self._patience.reschedule(0)
        assert self._opened is not None  # noqa: S101  made here
        return self._opened

    async def wait(self, number: int, seconds: float) -> None:
        """Until there is an entry of this number, for some seconds at the most."""
        if number < self.ring.next_number:
            return
        loop = asyncio.get_running_loop()
        news = loop.create_future()
        timer = loop.call_later(seconds, _settle, news)  # asyncio.wait would cost several times as much
        self._waiting.add(news)
        try:
            await news
        finally:
            timer.cancel()
            self._waiting.discard(news)

    def number_after(self, topic: Topic, mark: str) -> int | None:
        """Of the first entry of the ring behind a mark; None where that is not in it, or far ahead of it."""
        since = self._since.get(_asked(topic))
        return None if since is None else self.ring.number_after(mark, since)

    def entry(self, number: int) -> Entry | None:
        """None where it is not there yet, or no longer. Raises CursorExpired, or what else ended the stream."""
        if self._lost is not None:
            raise self._lost
        return self.ring.entry(number)

    def _begin(self) -> None:
        self.ring.begin()
        self._since.clear()
        self._lost = None
        self._opened = _future()
        self._task = asyncio.create_task(self._run())

    async def _end(self) -> None:
        task, self._task = self._task, None
        self.ring.begin()
        self._since.clear()
        if task is not None:
            await end(task)

    async def _run(self) -> None:
        try:
            await self._run_again_and_again()
        except Exception:
            log.exception("changes can't be read")
            self._lose(Unavailable("changes can't be read; the log tells why"))

    def _lose(self, error: DatacosmosError) -> None:
        """Whoever listens is told, and whoever comes next begins anew."""
        self._lost, self._task = error, None
        self._since.clear()
        self._refuse(error)
        self.wake()

    def _refuse(self, error: DatacosmosError) -> None:
        """Whoever waits for a stream to be opened is told."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error)

    async def _run_again_and_again(self) -> None:
        while self._lost is None and self._listeners:
            topics = tuple(self._listeners)
            # Whoever comes back to another while this stream is being opened has to wait for the next one.
            self._since = {topic: self._since[topic] for topic in topics if topic in self._since}
            try:
                async with self._changes.opened(topics, self.ring.mark or None) as (stream, mark):
                    self._note_opened(topics, mark)
                    await self._read(stream)
            except CursorExpired as error:
                log.warning("changes lost", error=str(error))
                self._lose(error)
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures == 1:
                    log.warning("changes can't be read now", error=str(error))
                if not self.ring.start:
                    self._lose(error)
                    return
                self._refuse(error)
                await BACKOFF.pause(self._failures - 1)

    def _note_opened(self, topics: Sequence[Topic], mark: str) -> None:
        if self._failures:
            log.info("changes are read again")
        self._failures = 0
        self.ring.start, self.ring.mark = self.ring.start or mark, self.ring.mark or mark
        self._since = {topic: self._since.get(topic, mark) for topic in topics}
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    async def _read(self, stream: Stream) -> None:
        """Until others want to be read for, too, or what comes may be for nobody any more."""
        while self._opened is not None and self._opened.done():
            try:
                async with asyncio.timeout(None) as self._patience:
                    batch = await stream.read()
            except TimeoutError:
                return
            finally:
                self._patience = None
            self.ring.mark = max(self.ring.mark, batch.mark)
            if batch.events:
                self.ring.add(batch)
                self.wake()
                await asyncio.sleep(min(LONGEST_PAUSE, PAUSE * self._listeners.total()))
                if self._since.keys() - self._listeners.keys():
                    return

    @property
    def is_read(self) -> bool:
        return self._task is not None

    def wake(self) -> None:
        """Whoever waits looks again."""
        for news in self._waiting:
            _settle(news)


def _asked(topic: Topic) -> Topic:
    """What MongoDB is asked for: all discards as one."""
    return topic if isinstance(topic, Accepted) else Discarded()


def _future() -> asyncio.Future[None]:
    """One whose error nobody need look at."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


async def end(task: asyncio.Future[Any]) -> None:
    """Soon, though the driver may swallow a cancellation, and a stream that MongoDB does not close is waited for."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)
    if not task.cancelled():
        task.exception()  # at which nobody need look


def _settle(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
