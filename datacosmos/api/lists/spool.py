"""Where the lists of one answer wait until they are sent: a little in memory, the rest in a file without a name."""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from io import FileIO
from tempfile import TemporaryFile, gettempdir
from typing import ParamSpec, TypeVar

from datacosmos.bounds import Bound
from datacosmos.errors import AnswerTooLarge, TemporaryFilesFull

P = ParamSpec("P")
T = TypeVar("T")
KEPT = 1 << 18
"""Bytes of one answer that wait in memory."""
KEPT_BY_ALL = 64 << 20
"""Bytes of all answers of a process that wait in memory; beyond them, each goes to its file at once."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an answer that is in its file."""

    begin: int
    size: int

    def __len__(self) -> int:
        return self.size


class Spools:
    """What the answers of a process may hold: `answer_most` bytes each, `most` on disk and KEPT_BY_ALL in memory."""

    def __init__(self, answer_most: int, most: int) -> None:
        self.answer_most = answer_most
        self.kept = 0
        self._disk = Bound("spool", most, "bytes of long answers")

    def open(self) -> "Spool":
        return Spool(self)

    def take(self, size: int) -> None:
        """Of the disk, and of no more than half of what it had free. Raises Overloaded."""
        held = self._disk.held + size
        if held > self._disk.most or 2 * held > shutil.disk_usage(gettempdir()).free + self._disk.held:
            raise self._disk.refusal()
        self._disk.take(size)

    def give_back(self, size: int) -> None:
        self._disk.give_back(size)


class Spool:
    """The memory and the file of one answer. The file is made once it is needed, and gone once it is closed.

    `kept` counts the bytes that wait in memory, over all lists of the answer.
    """

    def __init__(self, spools: Spools) -> None:
        self.kept = 0
        self._spools = spools
        self._size = 0
        self._file: FileIO | None = None
        self._end = 0
        self._at_work = 0
        self._is_closed = False

    def keep(self, size: int) -> bool:
        """So many bytes more in memory; whether those that wait there are to be written now. Raises AnswerTooLarge."""
        self._size += size
        if self._size > self._spools.answer_most:
            most = self._spools.answer_most
            raise AnswerTooLarge(f"the answer has more than {most} bytes, the limit; ask for fewer fields or points")
        self._count(size)
        return self.kept > KEPT or self._spools.kept > KEPT_BY_ALL

    def let_go(self, size: int) -> None:
        """So many bytes less in memory: they are written, or not going to be sent."""
        self._count(-size)

    async def write(self, text: bytes) -> Span:
        """Into the file, at a place that is its own even where it fails. Raises TemporaryFilesFull, Overloaded."""
        try:
            self._spools.take(len(text))
            span = Span(self._end, len(text))
            self._end += len(text)
            if self._file is None:
                self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - it is closed below
            await self._in_thread(_write, self._file.fileno(), text, span.begin)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise TemporaryFilesFull(
                f"the temporary folder can't hold an answer of this length ({why}); ask for less, or later"
            ) from error
        return span

    async def read(self, span: Span) -> AsyncGenerator[bytes]:
        """Some of it at once."""
        assert self._file is not None  # noqa: S101 - the span is in it
        end = span.begin + span.size
        for begin in range(span.begin, end, KEPT):
            yield await self._in_thread(os.pread, self._file.fileno(), min(KEPT, end - begin), begin)

    def close(self) -> None:
        """Once no thread is at the file any more: a cancellation does not wait for it."""
        self._count(-self.kept)
        self._is_closed = True
        if not self._at_work:
            if self._file is not None:
                self._file.close()
            if self._end:
                self._spools.give_back(self._end)
                self._end = 0

    def _count(self, size: int) -> None:
        if self._is_closed:  # all is given back: a list may end only after its answer did
            return
        self.kept += size
        self._spools.kept += size

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._at_work += 1
        running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
        running.add_done_callback(self._come_back)
        return await asyncio.shield(running)

    def _come_back(self, running: asyncio.Future[T]) -> None:
        self._at_work -= 1
        if not running.cancelled():
            running.exception()  # nobody may be waiting for it any more
        if self._is_closed:
            self.close()


def _write(descriptor: int, text: bytes, position: int) -> None:
    rest = memoryview(text)
    while rest:
        written = os.pwrite(descriptor, rest, position)
        rest, position = rest[written:], position + written
