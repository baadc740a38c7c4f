"""One stream of MongoDB for all subscribers of a kind, and the ring in which they find its events."""

import asyncio
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from datacosmos.api.feed.frames import Frame
from datacosmos.domain.changes import Accepted, Discarded, Topic
from datacosmos.errors import CursorExpired, DatacosmosError, StoreUnavailable, Unavailable
from datacosmos.retries import Backoff
from datacosmos.store.changes.changes import Changes
from datacosmos.store.changes.marks import seconds_between
from datacosmos.store.changes.streams import Batch, Stream

log = structlog.stdlib.get_logger(__name__)
MOST_BYTES, MOST_BATCHES = 16 << 20, 2_000
FRESH = 16
"""The newest batches: what is made of them for some topic is kept for the others who listen to it."""
PAUSE, LONGEST_PAUSE = 0.00014, 0.07
"""Seconds, by subscriber, before MongoDB is asked again: the more there are, the more events each is told at once."""
AHEAD = 10  # seconds by which another process may have read further than this one
PATIENCE = 1.0  # seconds in which a stream ends
BACKOFF = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))
MakeFrame = Callable[[Topic, Batch], Frame | None]


@dataclass(slots=True)
class Entry:
    """A batch in the ring, its number among all, and what of it each topic gets."""

    number: int
    batch: Batch
    frames: dict[Topic, Frame | None] = field(default_factory=dict[Topic, Frame | None])


class Hub:
    """Reads a stream while anybody listens. Its ring reaches back to the mark `start`, and forward to `mark`.

    MongoDB is asked for those topics alone that somebody listens to, of discards for all. A topic that joins later
    is in the ring from the mark on at which the stream was opened anew for it.
    """

    def __init__(self, changes: Changes, make_frame: MakeFrame) -> None:
        self._changes, self._make_frame = changes, make_frame
        self._listeners = Counter[Topic]()
        self._since: dict[Topic, str] = {}
        self._ring: deque[Entry] = deque()
        self.size = 0
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._waiting = set[asyncio.Future[None]]()
        self._lost: DatacosmosError | None = None
        self._failures = 0
        self.start = self.mark = ""
        self.next_number = 0

    @asynccontextmanager
    async def listening(self, topic: Topic) -> AsyncGenerator[None]:
        """While somebody is inside, the topic is read. Raises StoreUnavailable where it can't be."""
        asked = _asked(topic)
        self._listeners[asked] += 1
        try:
            while asked not in self._since:
                await asyncio.shield(self._opening())
            yield
        finally:
            self._listeners[asked] -= 1
            self._listeners = +self._listeners
            if not self._listeners:
                await self._end()

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
        if number < self.next_number:
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
        """Of the first entry behind a mark; None where that is not in the ring, or far ahead of it."""
        since = self._since.get(_asked(topic))
        if (
            since is None
            or mark < max(since, self.start)
            or (mark > self.mark and seconds_between(self.mark, mark) > AHEAD)
        ):
            return None
        index = bisect_right(self._ring, mark, key=lambda entry: entry.batch.mark)
        return self._ring[index].number if index < len(self._ring) else self.next_number

    def entry(self, number: int) -> Entry | None:
        """None where it is not there yet, or no longer. Raises CursorExpired, or what else ended the stream."""
        if self._lost is not None:
            raise self._lost
        index = number - self.next_number + len(self._ring)
        return self._ring[index] if 0 <= index < len(self._ring) else None

    def has_dropped(self, number: int) -> bool:
        """Whether an entry is no longer there."""
        return number < self.next_number - len(self._ring)

    def frame(self, entry: Entry, topic: Topic) -> Frame | None:
        """What a topic gets of an entry; None: nothing."""
        if entry.number < self.next_number - FRESH:
            return self._make_frame(topic, entry.batch)
        if topic not in entry.frames:
            entry.frames[topic] = self._make_frame(topic, entry.batch)
        return entry.frames[topic]

    def _begin(self) -> None:
        self._ring.clear()
        self._since.clear()
        self.size, self._lost = 0, None
        self.start = self.mark = ""
        self.next_number += 1  # so that whoever read an earlier stream finds that the rest of it is gone
        self._opened = _future()
        self._task = asyncio.create_task(self._run())

    async def _end(self) -> None:
        task, self._task = self._task, None
        self._ring.clear()
        self._since.clear()
        if task is not None:
            while not task.done():  # the driver may swallow a cancellation
                task.cancel()
                await asyncio.wait({task}, timeout=PATIENCE)

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
            try:
                async with self._changes.opened(topics, self.mark or None) as (stream, mark):
                    self._note_opened(topics, mark)
                    await self._read(stream)
            except CursorExpired as error:
                log.warning("changes lost", error=str(error))
                self._lose(error)
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures == 1:
                    log.warning("changes can't be read now", error=str(error))
                if not self.start:
                    self._lose(error)
                    return
                self._refuse(error)
                await BACKOFF.pause(self._failures - 1)

    def _note_opened(self, topics: Sequence[Topic], mark: str) -> None:
        if self._failures:
            log.info("changes are read again")
        self._failures = 0
        self.start, self.mark = self.start or mark, self.mark or mark
        self._since = {topic: self._since.get(topic, mark) for topic in topics}
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    async def _read(self, stream: Stream) -> None:
        """Until others want to be read for, too."""
        while self._opened is not None and self._opened.done():
            try:
                async with asyncio.timeout(None) as self._patience:
                    batch = await stream.read()
            except TimeoutError:
                return
            finally:
                self._patience = None
            self.mark = max(self.mark, batch.mark)
            if batch.events:
                self._add(batch)
                await asyncio.sleep(min(LONGEST_PAUSE, PAUSE * self._listeners.total()))

    def _add(self, batch: Batch) -> None:
        self._ring.append(Entry(self.next_number, batch))
        self.next_number += 1
        self.size += batch.size
        if len(self._ring) > FRESH:
            self._ring[-FRESH - 1].frames.clear()
        while (self.size > MOST_BYTES or len(self._ring) > MOST_BATCHES) and len(self._ring) > 1:
            oldest = self._ring.popleft()
            self.size -= oldest.batch.size
            self.start = oldest.batch.mark
        self.wake()

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


def _settle(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
