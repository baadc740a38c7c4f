"""A TCP line that loses what is said on it, or is cut."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

PIECE = 1 << 16


class Line:
    """While `words_lost` is set, what is said to the far end goes nowhere; while `answers_lost` is, what it says."""

    def __init__(self, host: str, port: int) -> None:
        self._far = host, port
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self.words_lost, self.answers_lost = asyncio.Event(), asyncio.Event()
        self.port = 0

    async def mend(self) -> None:
        """Everything comes through again, on new connections; those that missed something end."""
        await self.cut()
        self.words_lost.clear()
        self.answers_lost.clear()
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection and refuse new ones, until mended."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._far)
            try:
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(_copy(reader, far_writer, self.words_lost))
                    directions.create_task(_copy(far_reader, writer, self.answers_lost))
            finally:
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # one end hung up, or the line was cut
        finally:
            self._talks.discard(task)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
    """Ends the whole talk when one side hangs up."""
    while piece := await reader.read(PIECE):
        if not lost.is_set():
            writer.write(piece)
            await writer.drain()
    raise ConnectionResetError


@asynccontextmanager
async def line_to(url: str | None) -> AsyncGenerator[tuple[Line, str]]:
    """A line to an engine, and the URL that leads through it."""
    assert url is not None
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    line = Line(parts.hostname, parts.port)
    await line.mend()
    try:
        yield line, url.replace(f":{parts.port}", f":{line.port}")
    finally:
        with suppress(ConnectionError):
            await line.cut()
