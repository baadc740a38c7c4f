"""Clients that cost little: on a machine that they share with what is measured, theirs is time it does not get.

A connection is an asyncio protocol under uvloop, and httptools reads the answers without copying them: some 20 µs a
request. autocannon and oha take about as much, but send the same body again and again; here each is another one.
"""

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import cast
from urllib.parse import urlsplit

import httptools


@dataclass(slots=True)
class Load:
    """What one server was asked in one stretch: how long each request took, and all together, in seconds."""

    took: list[float] = field(default_factory=list[float])
    seconds: float = 0

    @property
    def rate(self) -> float:
        return len(self.took) / self.seconds


class Connection(asyncio.Protocol):
    """One client's connection, with one request under way."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        self._length += len(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._answer.set_result(self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))
            self._answer.exception()  # nobody may be waiting for it

    async def ask(self, request: bytes, least: int) -> None:
        """Raises RuntimeError unless a 200 comes, of no less than so many bytes: an error is shorter than points."""
        assert self._transport is not None
        self._length, self._answer = 0, asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        status = await self._answer
        if status != 200 or self._length < least:
            raise RuntimeError(f"status {status} and {self._length} bytes, where {least} were to come")


def post(url: str, body: bytes, token: str = "") -> bytes:
    head = f"POST {urlsplit(url).path or '/'} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def load(
    url: str, requests: Iterator[bytes], *, clients: int, least: int, seconds: float = math.inf, most: float = math.inf
) -> Load:
    """As many clients for so long, or until `most` requests are sent; all answers are awaited."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    done, numbers = Load(), count()
    began = time.perf_counter()

    async def ask() -> None:
        transport, connection = await loop.create_connection(Connection, parts.hostname, parts.port)
        while time.perf_counter() - began < seconds and next(numbers) < most:
            sent = time.perf_counter()
            await connection.ask(next(requests), least)
            done.took.append(time.perf_counter() - sent)
        transport.close()

    await asyncio.gather(*(ask() for _ in range(clients)))
    done.seconds = time.perf_counter() - began
    return done
