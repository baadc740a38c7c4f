"""Subscribers that go away and come back while the soak goes on; each must have had all of its changes, each once."""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx
import pymongo
from changes_listeners import Listener, listening
from soak_verdict import Finding

LONGEST = 30.0  # seconds for which one stays
LOOK = 0.2  # seconds
PATIENCE = 90
FOLLOWED: tuple[tuple[str, dict[str, str], dict[str, Any]], ...] = (
    ("/changes", {"series": "datacosmos"}, {"status": "accepted", "series": "datacosmos"}),
    ("/changes", {"series": "sensors/cellar"}, {"status": "accepted", "series": "sensors/cellar"}),
    ("/changes/discards", {}, {"status": "discarded"}),
    ("/changes/discards", {"source": "sensors"}, {"status": "discarded", "source": "sensors"}),
    ("/changes/discards", {"reason": "TOO_OLD"}, {"status": "discarded", "reasons": "too_old"}),
)
"""Where, asked for what, and how MongoDB is asked for the same."""


@dataclass
class Subscriber:
    """`seen` has the ids of all that came; `twice` counts those that came again."""

    path: str
    asked: Mapping[str, str]
    wanted: Mapping[str, Any]
    seen: set[bytes] = field(default_factory=set[bytes])
    twice: int = 0
    came_back: int = 0
    cursor: str = ""

    async def follow(self, address: str, token: str, draw: random.Random) -> None:
        while True:
            begin = {"after": self.cursor} if self.cursor else {"start": "2000-01-01T00:00:00Z"}
            try:
                asked = {**self.asked, **begin}
                async with listening(address, asked=asked, path=self.path, token=token) as [listener]:
                    await self._stay(listener, draw.uniform(0, LONGEST))
            except (OSError, TimeoutError):
                await asyncio.sleep(0.5)
            self.came_back += 1

    async def _stay(self, listener: Listener, seconds: float) -> None:
        ends = monotonic() + seconds
        try:
            while monotonic() < ends and not listener.ended.is_set():
                await asyncio.sleep(LOOK)
                self._take(listener)
        finally:
            self._take(listener)

    def _take(self, listener: Listener) -> None:
        for id_, _ in listener.received:
            self.twice += id_ in self.seen
            self.seen.add(id_)
        listener.received.clear()
        self.cursor = listener.cursor or self.cursor

    def finding(self, stored: int) -> Finding:
        what = f"{self.path} {' '.join(self.asked.values())}".rstrip()
        told = (
            f"{what}: {len(self.seen):,} of {stored:,} stored, {self.twice:,} twice; came back {self.came_back} times"
        )
        return Finding("subscriber", len(self.seen) == stored and not self.twice, told)


class Subscribers:
    def __init__(self, client: httpx.AsyncClient, mongodb_url: str, seed: int) -> None:
        self._address, self._token = str(client.base_url), client.headers["Authorization"].removeprefix("Bearer ")
        self._mongodb_url, self._draw = mongodb_url, random.Random(seed)
        self._all = [Subscriber(*followed) for followed in FOLLOWED]

    @asynccontextmanager
    async def following(self) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.follow(self._address, self._token, self._draw)) for each in self._all]
            yield
            for task in running:
                task.cancel()

    async def findings(self) -> list[Finding]:
        """Once each has all, or as it stands when there is no more hope of it; nothing is on its way any more."""
        stored = await asyncio.to_thread(self._stored)
        deadline = monotonic() + PATIENCE
        for each, count in zip(self._all, stored, strict=True):
            while len(each.seen) < count and monotonic() < deadline:  # noqa: ASYNC110  data comes in callbacks
                await asyncio.sleep(LOOK)
        return [each.finding(count) for each, count in zip(self._all, stored, strict=True)]

    def _stored(self) -> list[int]:
        with pymongo.MongoClient[dict[str, Any]](self._mongodb_url) as client:
            points = client["datacosmos"]["points"]
            return [points.count_documents(each.wanted) for each in self._all]
