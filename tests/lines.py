"""One connection to a service, byte by byte."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any


class Line:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: str | bytes) -> None:
        self._writer.write(data.encode() if isinstance(data, str) else data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        body = await self._reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def status(self) -> int:
        return (await self.answer())[0]

    async def ended(self) -> bytes:
        """What still came before the other end closed."""
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""

    def segments(self) -> int:
        """Those with data that came so far, as Linux counts them."""
        connection = self._writer.get_extra_info("socket")
        return int.from_bytes(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 156)[152:], sys.byteorder)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def line_to(address: str) -> AsyncGenerator[Line]:
    host, port = address.removeprefix("http://").split(":")
    line = Line(*await asyncio.open_connection(host, int(port), limit=1 << 22))
    try:
        yield line
    finally:
        line.close()


def _own_address() -> str | None:
    """One of this machine that is no loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


OWN = _own_address()
