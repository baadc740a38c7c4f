"""What anyone without a token may try at once: `python -m tests.process.abuse.attacks ADDRESS PATH [ATTACK …]`.

PATH is that of a series of many points; without names, all attacks are made. It goes on until it is killed, and tells
each answer in a line: the attack and the status, 0 where there was none. It yields the processor to whoever else wants
it, as if it were on another machine.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import cache
from urllib.parse import urlsplit

from tests.process.abuse.greedy import QUERY

MIB = 1 << 20
LONG = "a" * 500_000
ALIAS = f"{{ pointsConnection(first: 2000) {{ edges {{ node {{ {LONG}: time }} }} }} }}"
UNDEFINED = " ".join(f"query Q{n} {{ points(series: ${'v' * 9000}) {{ time }} }}" for n in range(100))
GOING = (ConnectionError, OSError, asyncio.IncompleteReadError, TimeoutError)


class Attacker:
    """Sends what it likes to one service. A status of 0 stands for a connection that was broken off."""

    def __init__(self, address: str, series: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port
        self._series = series
        self._texts = itertools.cycle([json.dumps({"query": text}).encode() for text in (ALIAS, UNDEFINED)])

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def request(
        self, head: str, body: Iterable[bytes | memoryview] = (), *, pause: float = 0, whole: bool = False
    ) -> int:
        """The status, read while the body is sent, and the whole answer where wanted; pauses before the last byte."""
        try:
            async with asyncio.timeout(60), self.connection() as (reader, writer):
                answered = asyncio.ensure_future(reader.readuntil(b"\r\n"))
                writer.write(f"{head}\r\nHost: {self._host}:{self._port}\r\nConnection: close\r\n\r\n".encode())
                with suppress(*GOING):
                    for part in body:
                        writer.write(part)
                        await writer.drain()
                        if answered.done():
                            break
                    await asyncio.wait({answered}, timeout=pause)
                status = int((await answered).split()[1])
                while whole and await reader.read(MIB):
                    pass
                return status
        except GOING:
            return 0

    async def post(self, path: str, body: bytes) -> int:
        head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        return await self.request(head, (memoryview(body)[begin : begin + MIB] for begin in range(0, len(body), MIB)))

    # Each is one request of an attack.

    async def long_texts(self) -> int:
        return await self.post("/graphql", next(self._texts))

    async def one_identity(self) -> int:
        content = {"temperature_f": 70, "time_of_measurement": "2026-01-01T00:00:00Z"}
        record = {"id": f"same-{os.urandom(4).hex()}", "type": "Sensor", "content": content}
        return await self.post("/sensors", json.dumps([record] * 10_000).encode())

    async def greedy_readers(self) -> int:
        body = json.dumps({"query": QUERY}).encode()
        head = f"POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        return await self.request(head, [body], whole=True)

    async def paused_bodies(self) -> int:
        head = f"POST /api HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {64 * MIB}"
        return await self.request(head, [b"[" + b" " * (MIB - 1)] * 63, pause=30)

    async def long_heads(self) -> int:
        return await self.head(b"GET / HTTP/1.1\r\nX-Long: ", [b"x" * MIB] * 200)

    async def many_headers(self) -> int:
        return await self.head(b"GET / HTTP/1.1\r\n", [b"X-Many: y\r\n" * 100_000] * 200)

    async def endless_heads(self) -> int:
        return await self.head(b"GET / HTTP/1.1\r\nX-Never: ")

    async def slow_uploads(self) -> int:
        return await self.post("/api", slow_upload())

    async def large_metrics(self) -> int:
        return await self.request(f"GET {self._series}/metrics HTTP/1.1")

    async def head(self, begin: bytes, parts: Iterable[bytes] = ()) -> int:
        """Its end is never sent."""
        with suppress(*GOING):
            async with asyncio.timeout(60), self.connection() as (reader, writer):
                answered = asyncio.ensure_future(reader.readuntil(b"\r\n"))
                writer.write(begin)
                with suppress(*GOING):
                    for part in parts:
                        writer.write(part)
                        await writer.drain()
                return int((await answered).split()[1])
        return 0


@cache
def slow_upload() -> bytes:
    item = b'{"name":"slow]","t":1795363200,"v":1e-320},'
    return b"[" + item * (60 * MIB // len(item)) + item[:-1] + b"]"


CLIENTS: dict[Callable[[Attacker], Awaitable[int]], int] = {
    Attacker.long_texts: 4,
    Attacker.one_identity: 4,
    Attacker.greedy_readers: 30,
    Attacker.paused_bodies: 30,
    Attacker.long_heads: 1,
    Attacker.many_headers: 1,
    Attacker.endless_heads: 90,
    Attacker.slow_uploads: 8,
    Attacker.large_metrics: 60,
}


async def repeat(attack: Callable[[Attacker], Awaitable[int]], attacker: Attacker) -> None:
    while True:
        print(attack.__name__, await attack(attacker), flush=True)  # noqa: T201
        await asyncio.sleep(1)


async def attack(address: str, series: str, *names: str) -> None:
    attacker = Attacker(address, series)
    chosen = {attack: clients for attack, clients in CLIENTS.items() if not names or attack.__name__ in names}
    await asyncio.gather(*(repeat(attack, attacker) for attack, clients in chosen.items() for _ in range(clients)))


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(attack(*sys.argv[1:]))
