"""The latest batches of one stream, in which all of its subscribers find what they are to be told."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from datacosmos.api.feed.frames import Frame
from datacosmos.domain.changes import Topic
from datacosmos.observability import HELD
from datacosmos.store.changes.marks import seconds_between
from datacosmos.store.changes.streams import Batch

MOST_BYTES, MOST_BATCHES = 16 << 20, 2_000
FRESH = 16
"""The newest batches: what is made of them for some topic is kept for the others who listen to it."""
AHEAD = 10  # seconds by which another process may have read further than this one
MakeFrame = Callable[[Topic, Batch], Frame | None]


@dataclass(slots=True)
class Entry:
    """A batch, its number among all, and what of it each topic gets."""

    number: int
    batch: Batch
    frames: dict[Topic, Frame | None] = field(default_factory=dict[Topic, Frame | None])


class Ring:
    """Reaches back to the mark `start`, and forward to `mark`; `_size` is what it takes in memory, about, in bytes."""

    def __init__(self, make_frame: MakeFrame) -> None:
        self._make_frame = make_frame
        self._entries: deque[Entry] = deque()
        self._size, self._held = 0, HELD.labels("changes")
        self.start = self.mark = ""
        self.next_number = 0

    def begin(self) -> None:
        """Anew, for another stream."""
        self._entries.clear()
        self._resize(-self._size)
        self.start = self.mark = ""
        self.next_number += 1  # so that whoever read an earlier stream finds that the rest of it is gone

    def add(self, batch: Batch) -> None:
        self._entries.append(Entry(self.next_number, batch))
        self.next_number += 1
        self._resize(batch.size)
        if len(self._entries) > FRESH:
            self._entries[-FRESH - 1].frames.clear()
        while (self._size > MOST_BYTES or len(self._entries) > MOST_BATCHES) and len(self._entries) > 1:
            oldest = self._entries.popleft()
            self._resize(-oldest.batch.size)
            self.start = oldest.batch.mark

    def _resize(self, change: int) -> None:
        self._size += change
        self._held.inc(change)

    def number_after(self, mark: str, since: str) -> int | None:
        """Of the first entry behind a mark; None where that is not here, or far ahead.

        `since` is the mark from which on the stream has had all that is asked for.
        """
        if mark < max(since, self.start):
            return None
        if mark > self.mark and seconds_between(self.mark, mark) > AHEAD:
            return None
        index = bisect_right(self._entries, mark, key=lambda entry: entry.batch.mark)
        return self._entries[index].number if index < len(self._entries) else self.next_number

    def entry(self, number: int) -> Entry | None:
        """None where it is not here yet, or no longer."""
        index = number - self.next_number + len(self._entries)
        return self._entries[index] if 0 <= index < len(self._entries) else None

    def has_dropped(self, number: int) -> bool:
        """Whether an entry is no longer here."""
        return number < self.next_number - len(self._entries)

    def frame(self, entry: Entry, topic: Topic) -> Frame | None:
        """What a topic gets of an entry; None: nothing."""
        if entry.number < self.next_number - FRESH:
            return self._make_frame(topic, entry.batch)
        if topic not in entry.frames:
            entry.frames[topic] = self._make_frame(topic, entry.batch)
        return entry.frames[topic]
