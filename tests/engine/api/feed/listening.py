"""A served API, and a client that listens to it as a browser's EventSource does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from prometheus_client import REGISTRY

from tests.asking import bearer


class Events:
    """What comes over one connection."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status, self._answer = answer.status_code, answer
        self.last_id = ""
        self._messages = self._read()

    async def next(self, seconds: float = 10) -> dict[str, str]:
        """The fields of the next message; {} at the end."""
        async with asyncio.timeout(seconds):
            return await anext(self._messages, dict[str, str]())

    async def changes(self, count: int, seconds: float = 10) -> list[dict[str, Any]]:
        """The next so many changes; those that come with the last of them stay out."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                message = await anext(self._messages)
                assert "event" not in message, message
                found += orjson.loads(message["data"])["events"]
        return found

    async def ids(self, count: int, seconds: float = 10) -> list[str]:
        return [id_of(change) for change in await self.changes(count, seconds)]

    async def error(self) -> dict[str, Any]:
        """The error that ends the stream."""
        while (message := await self.next()).get("event") != "error":
            assert message, "ended without an error"
        assert await self.next() == {}
        return orjson.loads(message["data"])

    async def _read(self) -> AsyncGenerator[dict[str, str]]:
        message: dict[str, str] = {}
        async for line in self._answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                message[name] = value
            elif "data" in message:
                self.last_id = message.get("id", self.last_id)
                yield message
                message = {}


def kept_bytes() -> float:
    """What /metrics tells of the changes that this process keeps for all who listen."""
    return REGISTRY.get_sample_value("datacosmos_held", {"bound": "changes"}) or 0


def id_of(change: dict[str, Any]) -> str:
    return (change["point"] or change["discard"])["id"]


@asynccontextmanager
async def listening(
    address: str, path: str = "/changes", who: str | None = None, last_id: str = "", **parameters: str
) -> AsyncGenerator[Events]:
    """One whose stream has begun, with its first message read."""
    headers = bearer(who) | {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    async with (
        httpx.AsyncClient(timeout=30, base_url=address, trust_env=False) as client,
        client.stream("GET", path, headers=headers, params=parameters) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Events(answer)
