"""Honest clients of the four inputs, who also read; what was acknowledged to them, and how soon."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx
import numpy as np

from tests.asking import LOCATION, bearer

ACTS = ("sensors", "location", "append", "named", "graphql", "health", "live")
PAUSE = 0.05  # seconds between two requests of one client
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
SENSOR, USER, NAME = "honest-sensor", "honest-user", "honest-name"
POINTS = "{ pointsConnection(first: 10) { edges { node { time value } } } }"


class Honest:
    """One client for each of its acts, all of them if not told. `statuses` and `seconds` are by what was asked.

    Their connections are closed where its own block, `async with Honest(…)`, ends."""

    def __init__(self, address: str, who: str | None = None, acts: Collection[str] = ACTS) -> None:
        self._client = httpx.AsyncClient(base_url=address, timeout=60, headers=bearer(who))
        self._acts = acts
        self.statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.acknowledged: Counter[str] = Counter()
        self._series = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None]:
        """They are, until the block ends."""
        if "append" in self._acts and not self._series:
            created = await self._client.post("/series", json={"points": [{"t": 0, "v": 1}]})
            self._series = created.headers["Location"]
        over = asyncio.Event()
        tasks = [asyncio.create_task(self._repeat(getattr(self, f"_{act}"), over)) for act in self._acts]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*tasks)

    def forget(self) -> None:
        """How it went until now, but for what was acknowledged."""
        self.statuses.clear()
        self.seconds.clear()

    def percentiles(self) -> dict[str, float]:
        """The 95th of each, in seconds."""
        return {name: float(np.percentile(seconds, 95)) for name, seconds in self.seconds.items()}

    @property
    def refused(self) -> dict[str, Counter[int]]:
        """What was not answered as it should have been."""
        return {name: counted for name, counted in self.statuses.items() if not counted.keys() <= {200, 201, 202}}

    async def stored(self) -> dict[str, int]:
        """How many of each input the service has."""
        readings = await self._query(f'{{ sensorReadings(sensorId: "{SENSOR}") {{ time }} }}')
        minutes = await self._query(f'{{ locations(userId: "{USER}") {{ count }} }}')
        named = (await self._client.get(f"/api/{NAME}")).json()
        series = (await self._client.get(self._series)).json()
        return {
            "sensors": len(readings["sensorReadings"]),
            "location": sum(minute["count"] for minute in minutes["locations"]),
            "named": round(named["sum"]),
            "append": series["count"] - 1,
        }

    async def _repeat(self, act: Callable[[], Awaitable[None]], over: asyncio.Event) -> None:
        while not over.is_set():
            await act()
            await asyncio.sleep(PAUSE)

    async def _send(self, name: str, method: str, path: str, **request: Any) -> httpx.Response | None:
        """A status of 0 counts what had no answer."""
        began, answer = time.perf_counter(), None
        with suppress(httpx.TransportError):
            answer = await self._client.request(method, path, **request)
        self.seconds[name].append(time.perf_counter() - began)
        self.statuses[name][answer.status_code if answer else 0] += 1
        if answer is not None and answer.is_success:
            self.acknowledged[name] += 1
        return answer

    async def _sensors(self) -> None:
        content = {"temperature_f": 70, "time_of_measurement": _time(self.acknowledged["sensors"]).isoformat()}
        record = {"id": SENSOR, "type": "Sensor", "content": content}
        await self._send(
            "sensors", "POST", "/sensors", json=record, headers={"Idempotency-Key": f"{self.acknowledged['sensors']}"}
        )

    async def _location(self) -> None:
        timestamp = _time(self.acknowledged["location"]).isoformat()
        location = LOCATION | {"user_id": USER, "timestamp": timestamp}
        await self._send("location", "PUT", "/location", json=location)

    async def _append(self) -> None:
        points = {"points": [{"t": self.acknowledged["append"] + 1, "v": 1}]}
        await self._send("append", "POST", f"{self._series}/points", json=points)

    async def _named(self) -> None:
        await self._send("named", "POST", "/api", json=[{"name": NAME, "t": self.acknowledged["named"], "v": 1}])

    async def _graphql(self) -> None:
        answer = await self._send("graphql", "POST", "/graphql", json={"query": POINTS})
        assert answer is None or "errors" not in answer.json(), answer.text

    async def _health(self) -> None:
        await self._send("health", "GET", "/health")

    async def _live(self) -> None:
        await self._send("live", "GET", "/health/live")

    async def _query(self, query: str) -> dict[str, Any]:
        return (await self._client.post("/graphql", json={"query": query})).json()["data"]


def _time(number: int) -> datetime:
    return BEGIN + number * timedelta(seconds=1)
