"""Those outside, who count what they sent: a data server and sensors."""

import asyncio
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from datacosmos.sources.sensors import MAX_RECORD
from tests.process.faults.group import PATIENCE
from tests.scripted_server import ScriptedServer, answer, scripted_server


class DataServer:
    """Serves points that are told apart by a tag, one after another until it is told to end."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._bodies: list[bytes] = []
        self.dripped = 0

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def served(self) -> list[bytes]:
        return self._bodies[: len(self._bodies) - len(self._server.script)]

    def load(self, count: int) -> None:
        """So many points more; every fifth is tagged as one to discard."""
        first, now = len(self._bodies), int(time.time())
        self.load_bodies([_body(now, number) for number in range(first, first + count)])

    def load_bodies(self, bodies: Sequence[bytes]) -> None:
        self._bodies += bodies
        self._server.play(*map(answer, bodies))

    def end(self) -> None:
        """Serve no more of what was loaded."""
        left = len(self._server.script)
        self._server.script.clear()
        del self._bodies[len(self._bodies) - left :]

    async def drip(self) -> None:
        """Serve one body that comes a byte a second and never ends, until who asked for it hangs up."""
        over = asyncio.Event()

        async def act(writer: asyncio.StreamWriter) -> None:
            self.dripped += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            try:
                while not writer.is_closing():
                    writer.write(b"{")
                    await writer.drain()
                    await asyncio.sleep(1)
            except ConnectionError:
                pass
            over.set()

        self._server.play(act)
        async with asyncio.timeout(PATIENCE):
            await over.wait()

    async def served_all(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._server.ran_out.wait()


def _body(now: int, number: int) -> bytes:
    tags = [f"n{number}"] + (["system"] if number % 5 == 0 else [])
    return json.dumps({"time": now, "value": [218, 202, 115, 191], "tags": tags}).encode()


@asynccontextmanager
async def data_server(count: int = 0) -> AsyncGenerator[DataServer]:
    async with scripted_server() as scripted:
        server = DataServer(scripted)
        if count:
            server.load(count)
        yield server


@dataclass(frozen=True)
class Batch:
    """Records, and how many of them are malformed and how many repeat another one."""

    records: list[bytes]
    malformed: int = 0
    duplicates: int = 0

    @property
    def body(self) -> bytes:
        return b"[" + b",".join(self.records) + b"]"


class Sensors:
    """Push batches under a key of each one's own, again and again until taken, and add up what they hold."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: Counter[bytes] = Counter()
        self.accepted = self.malformed = self.duplicates = 0
        self.batches = self.refused = 0

    @asynccontextmanager
    async def at_work(self, senders: int = 3, pause: float = 0.02) -> AsyncGenerator[None]:
        """Sending until the end of the block; what is then under way is sent until it is taken."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(senders):
                group.create_task(self._work(pause, ended))
            try:
                yield
            finally:
                ended.set()

    async def _work(self, pause: float, ended: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE) as client:
            while not ended.is_set():
                batch = some_batch()
                await self._deliver(client, batch, secrets.token_hex(16))
                self.count(batch)
                await asyncio.sleep(pause)

    async def push(self, batch: Batch, key: str | None = None, *, counts: bool = True) -> dict[str, Any]:
        """What the API says about a batch once it has taken it; one sent before does not count again."""
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE) as client:
            taken = await self._deliver(client, batch, key or secrets.token_hex(16))
        if counts:
            self.count(batch)
        return taken

    def count(self, batch: Batch) -> None:
        self.sent.update(record[:MAX_RECORD] for record in batch.records)
        self.malformed += batch.malformed
        self.duplicates += batch.duplicates
        self.accepted += len(batch.records) - batch.malformed - batch.duplicates
        self.batches += 1

    async def _deliver(self, client: httpx.AsyncClient, batch: Batch, key: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while (taken := await self._taken(client, batch.body, {"Idempotency-Key": key})) is None:
                await asyncio.sleep(0.05)
        return taken

    async def _taken(self, client: httpx.AsyncClient, body: bytes, headers: dict[str, str]) -> dict[str, Any] | None:
        try:
            answer = await client.post("/sensors", content=body, headers=headers)
        except httpx.TransportError:
            return None
        if answer.status_code == 202:
            return answer.json()
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        self.refused += 1
        return None


def record(sensor: str, fahrenheit: object = 90, at: str = "2019-06-24T15:00:00") -> bytes:
    content = {"temperature_f": fahrenheit, "time_of_measurement": at}
    return json.dumps({"id": sensor, "type": "Sensor", "content": content}).encode()


def some_batch() -> Batch:
    """One record is malformed, one repeats another, the rest is new."""
    name = secrets.token_hex(8)
    records = [record(f"{name}-{n}") for n in range(8)]
    records += [records[0], record(f"{name}-hot", "hot")]
    random.shuffle(records)
    return Batch(records, malformed=1, duplicates=1)
