"""Subscribers over bare sockets, which cost the measuring process as little as can be."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlencode, urlsplit

import orjson

ID = re.compile(rb'"id":"([^"]+)"')
END = b"\n\n"
NOTHING: Mapping[str, str] = {}


@dataclass
class Listener(asyncio.Protocol):
    """`received` has each point's id and when it came; `error` is what ended the stream."""

    received: list[tuple[bytes, float]] = field(default_factory=list[tuple[bytes, float]])
    cursor: str | None = None
    error: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: bytes = b""

    def data_received(self, data: bytes) -> None:
        whole, end, self._rest = (self._rest + data).rpartition(END)
        if not end:
            return
        now = monotonic()
        self.received += [(found, now) for found in ID.findall(whole)]
        self.cursor = whole.rpartition(b"id: ")[2].partition(b"\n")[0].decode() if b"id: " in whole else self.cursor
        if b"event: error" in whole:
            self.error = orjson.loads(whole.rpartition(b"data: ")[2])["extensions"]["code"]
        self.begun.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.ended.set()
        self.begun.set()


@asynccontextmanager
async def listening(
    address: str, count: int = 1, asked: Mapping[str, str] = NOTHING, *, path: str = "/changes", token: str = ""
) -> AsyncGenerator[list[Listener]]:
    """So many, whose streams have begun. Raises OSError and TimeoutError where they don't."""
    there, query = urlsplit(address), urlencode(asked)
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"GET {path}?{query} HTTP/1.1\r\nHost: {there.netloc}\r\n{bearer}Connection: close\r\n\r\n"
    loop = asyncio.get_running_loop()
    transports: list[asyncio.Transport] = []
    listeners: list[Listener] = []
    try:
        for _ in range(count):
            transport, listener = await loop.create_connection(Listener, there.hostname or "", there.port or 80)
            transport.write(head.encode())
            transports.append(transport)
            listeners.append(listener)
        async with asyncio.timeout(60):
            for listener in listeners:
                await listener.begun.wait()
                if not listener.cursor:
                    raise ConnectionError("the stream did not begin")
        yield listeners
    finally:
        for transport in transports:
            transport.abort()
