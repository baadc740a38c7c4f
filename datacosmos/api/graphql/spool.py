"""Where the lists of one answer wait until they are sent: a little in memory, the rest in a file without a name."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from io import FileIO
from tempfile import TemporaryFile
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

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
        self._writing = asyncio.Lock()

    @property
    def is_full(self) -> bool:
        return self.kept > KEPT

    async def write(self, text: bytes) -> Span:
        """Out of memory, into the file. Raises TemporaryFilesFull."""
        async with self._writing:
            span = Span(self._end, len(text))
            try:
                await _in_thread(self._append, text)
            except OSError as error:
                why = os.strerror(error.errno or 0)
                raise TemporaryFilesFull(
                    f"the temporary folder has no room for an answer of this length ({why}); ask for less, or later"
                ) from error
            self._end += len(text)
            self.kept -= len(text)
            return span

    async def read(self, span: Span) -> AsyncGenerator[bytes]:
        """Some of it at once."""
        assert self._file is not None  # noqa: S101 - the span is in it
        end = span.begin + span.size
        for begin in range(span.begin, end, KEPT):
            yield await _in_thread(os.pread, self._file.fileno(), min(KEPT, end - begin), begin)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _append(self, text: bytes) -> None:
        if self._file is None:
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - it is closed above
        rest = memoryview(text)
        while rest:
            rest = rest[self._file.write(rest) :]


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As asyncio.to_thread, but it outlasts a cancellation: nobody may close the file that a thread is at."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
