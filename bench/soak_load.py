"""What the soak sends: a data server that never runs dry and sensors in batches, both counting what left them."""

import asyncio
import random
import re
import uuid
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from time import monotonic, time

import httpx

from datacosmos.simulators.data_server import Generator
from datacosmos.simulators.sensors import records

BATCH, SENDERS = 200, 4
NOTHING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
SENSOR = re.compile(r'"id": "(\w+)".*"time_of_measurement": "(\d[^"]+)"')
RATE_OF_ALWAYS = 1e6  # points a second that come in: more than can ever be asked for


class DataServer:
    """Has a point for whoever asks, while it is open."""

    def __init__(self, seed: int) -> None:
        self._points = Generator(RATE_OF_ALWAYS, seed, time)
        self.open = False
        self.served = 0
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(self._answer())
                await writer.drain()
        writer.close()

    def _answer(self) -> bytes:
        body = self._points.take() if self.open else None
        if body is None:
            return NOTHING
        self.served += 1
        return HEAD % len(body) + body


class Pace:
    """A batch of the sensors whenever there is room for one, so that both sources together come to `rate` a second.

    What an outage holds up for more than a second is not made up for: it would be a load of its own.
    """

    def __init__(self, rate: float, server: DataServer) -> None:
        self._rate, self._server = rate, server
        self._owed, self._at, self._served = 0.0, monotonic(), server.served

    def take(self) -> bool:
        now, served = monotonic(), self._server.served
        self._owed += self._rate * (now - self._at) - (served - self._served)
        self._owed = max(-self._rate, min(self._owed, max(self._rate, BATCH)))
        self._at, self._served = now, served
        if self._owed < BATCH:
            return False
        self._owed -= BATCH
        return True


class Sensors:
    """Sends batches, each under a key of its own and as often as it takes until it is acknowledged."""

    def __init__(self, client: httpx.AsyncClient, pace: Pace, seed: int) -> None:
        self._client, self._pace = client, pace
        self._records = records(start=datetime.now(UTC).replace(tzinfo=None, microsecond=0), seed=seed)
        self.open = True
        self.sent = 0  # readings that were acknowledged
        self.batches = 0  # these came in
        self.unanswered = 0  # readings on their way, stored or not
        self.resent = 0  # batches
        self.refusals: list[str] = []
        self.recent: deque[tuple[str, str, datetime]] = deque(maxlen=200)
        """Delivery ids, each with the sensor and the time of its first reading."""

    async def run(self) -> None:
        """Until it is closed and the last batch is acknowledged."""
        async with asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(self._send())

    async def _send(self) -> None:
        while self.open:
            if self._pace.take():
                await self._deliver(list(islice(self._records, BATCH)))
            else:
                await asyncio.sleep(0.02)

    async def _deliver(self, lines: list[str]) -> None:
        body, key = "\n".join(lines), str(uuid.uuid4())
        self.unanswered += len(lines)
        while (delivery := await self._post(body, key)) is None:
            self.resent += 1
            await asyncio.sleep(random.uniform(0.2, 1))
        self.unanswered -= len(lines)
        self.sent += len(lines)
        self.batches += 1
        if found := SENSOR.search(lines[0]):
            self.recent.append((delivery, found[1], datetime.fromisoformat(found[2]).replace(tzinfo=UTC)))

    async def _post(self, body: str, key: str) -> str | None:
        """The delivery's id; None where nobody knows whether it was taken. Any other answer than 503 is noted."""
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        try:
            answer = await self._client.post("/sensors", content=body, headers=headers)
        except httpx.TransportError:
            return None
        if answer.status_code == 202:
            return answer.json()["deliveryId"]
        if answer.status_code != 503:
            self.refusals.append(f"POST /sensors: {answer.status_code} {answer.text[:200]}")
        return None
