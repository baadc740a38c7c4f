"""A data server that does exactly what a test tells it to, on a port of its own."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    return act


def point(time: int, value: tuple[int, ...] = (218, 202, 115, 191), tags: Iterable[str] = ()) -> Act:
    return answer(json.dumps({"time": time, "value": value, "tags": list(tags)}).encode())


def broken_off(body: bytes, promised: int) -> Act:
    """Promise more than is sent, then close."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    return act


async def hang(_writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte every 20 ms, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(0.02)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    writer.close()


class ScriptedServer:
    """Plays its script, one act a request; at the end of it, 404."""

    def __init__(self) -> None:
        self.script: list[Act] = []
        self.requests = 0
        self.ran_out = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def play(self, *acts: Act) -> None:
        """More of the script; `ran_out` is set once the first request after its end was answered."""
        self.ran_out.clear()
        self.script.extend(acts)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            while not writer.is_closing() and await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                ended = not self.script
                await (answer(b"", "404 Not Found") if ended else self.script.pop(0))(writer)
                with suppress(ConnectionError):
                    await writer.drain()
                if ended:
                    self.ran_out.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._conversations.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def scripted_server() -> AsyncGenerator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
