"""Where the lists of one answer wait until they are sent: a little in memory, the rest in a file without a name."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from io import FileIO
from tempfile import TemporaryFile
from typing import ParamSpec, TypeVar

from datacosmos.errors import TemporaryFilesFull

P = ParamSpec("P")
T = TypeVar("T")
KEPT = 1 << 18
"""Bytes of one answer that wait in memory."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an answer that is in its file."""

    begin: int
    size: int

    def __len__(self) -> int:
        return self.size


class Spool:
    """The memory and the file of one answer. The file is made once it is needed, and gone once it is closed.

    `kept` counts the bytes that wait in memory, over all lists of the answer.
    """

    def __init__(self) -> None:
        self.kept = 0
        self._file: FileIO | None = None
        self._end = 0
        self._at_work = 0
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        return self.kept > KEPT

    async def write(self, text: bytes) -> Span:
        """Into the file, at a place that is its own even where it fails. Raises TemporaryFilesFull."""
        span = Span(self._end, len(text))
        self._end += len(text)
        try:
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
        self._is_closed = True
        if self._file is not None and not self._at_work:
            self._file.close()

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
