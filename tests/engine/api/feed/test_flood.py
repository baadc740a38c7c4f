"""Points that come faster than one of the subscribers reads, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import orjson
import pytest

from datacosmos.api.feed import reader, ring
from datacosmos.errors import Lagging
from datacosmos.store.changes import streams
from datacosmos.store.points.points import Points
from tests.asking import NOON, SECOND, point
from tests.engine.api.feed.listening import id_of, kept_bytes, listening

POINTS, TAG = 100, "x" * 2_000  # in a batch of the flood, and what makes each of them long
KEPT = 1 << 20
PIECE, PAUSE = 1 << 15, 0.05  # bytes, and seconds between them: a third of what is stored


class SlowReader:
    """Takes a little at a time, until it is told to hurry."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.hurry = asyncio.Event()
        self.ids: list[str] = []
        self.cursor = ""

    async def error(self) -> str:
        """The code of the error that ends the stream, once all that came before it is read."""
        loop, rest = asyncio.get_running_loop(), b""
        while piece := await loop.sock_recv(self._connection, PIECE):
            *messages, rest = (rest + piece).split(b"\n\n")
            for message in messages:
                fields = dict(line.split(b": ", 1) for line in message.split(b"\n") if b": " in line)
                if fields.get(b"event") == b"error":
                    error = orjson.loads(fields[b"data"])["extensions"]
                    assert error["cursor"] == self.cursor
                    return error["code"]
                if b"id" in fields:
                    self.cursor = fields[b"id"].decode()
                    self.ids += [id_of(change) for change in orjson.loads(fields[b"data"])["events"]]
            if not self.hurry.is_set():
                await asyncio.sleep(PAUSE)
        raise AssertionError("ended without an error")


@asynccontextmanager
async def reading_slowly(address: str) -> AsyncGenerator[SlowReader]:
    there, loop = urlsplit(address), asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        connection.setblocking(False)
        await loop.sock_connect(connection, (there.hostname, there.port))
        await loop.sock_sendall(connection, f"GET /changes HTTP/1.0\r\nHost: {there.netloc}\r\n\r\n".encode())
        yield SlowReader(connection)


async def test_a_slow_reader_under_a_flood_is_told_that_it_lags_and_goes_on_behind_its_cursor(
    address: str, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MOST_BYTES", KEPT)
    monkeypatch.setattr(streams, "AT_ONCE", POINTS)
    monkeypatch.setattr(reader, "CATCH_UP", 1.0)
    stored, kept = list[str](), list[float]()

    async with listening(address), reading_slowly(address) as slow:

        def lagging(message: str) -> Lagging:
            slow.hurry.set()  # what was sent before waits in the sockets still
            return Lagging(message)

        async def flood() -> None:
            while not slow.hurry.is_set():
                batch = [point(NOON + len(stored) * SECOND, tags=(TAG,)) for _ in range(POINTS)]
                await points.add(batch)
                stored.extend(each.id for each in batch)
                kept.append(kept_bytes())
                await asyncio.sleep(0.1)

        monkeypatch.setattr(reader, "Lagging", lagging)
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(flood())
            assert await slow.error() == "LAGGING"
    assert max(kept) <= KEPT
    got = len(slow.ids)
    assert slow.ids == stored[:got]
    async with listening(address, after=slow.cursor) as events:
        assert await events.ids(len(stored) - got) == stored[got:]
