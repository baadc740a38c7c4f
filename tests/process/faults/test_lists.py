"""Lists that are read while MongoDB is killed, stopped, no primary any more, or cut off.

An answer is whole and right, or an error that says that the store is unavailable; else its transfer breaks off.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from pymongo.errors import PyMongoError

from datacosmos.engines import embedded_engines
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import client_of, connect
from datacosmos.store.stores import Stores
from tests.asking import app_of
from tests.process.faults.line import Line, line_to
from tests.processes import Watched, engine_pid
from tests.some_points import NOON, SECOND, point

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
MANY = 20_000  # of which no first batch has all
QUERIES = (
    "{ points { time value } }",
    "{ points { time value tags receivedAt } }",
    '{ points(end: "2024-03-28T12:00:09Z") { time value } }',
    "{ pointsConnection(first: 9000) { edges { cursor node { value } } pageInfo { endCursor } } }",
)
PATIENCE, TIMEOUT = 60.0, timedelta(seconds=2)


@dataclass
class Reader:
    """Asks again and again; `outcomes` counts how that went since it was cleared."""

    client: httpx.AsyncClient
    right: dict[str, bytes] = field(default_factory=dict[str, bytes])
    outcomes: Counter[str] = field(default_factory=Counter[str])

    async def ask(self, query: str) -> str:
        try:
            answer = await self.client.post("/graphql", json={"query": query}, timeout=PATIENCE)
        except httpx.TransportError:
            return "broken off"
        if "errors" in (body := answer.json()):
            assert {error["extensions"]["code"] for error in body["errors"]} == {"UNAVAILABLE"}, answer.text
            return "unavailable"
        assert answer.content == self.right.setdefault(query, answer.content)
        return "right"

    async def go_on(self) -> None:
        async def ask_on(query: str) -> None:
            while True:
                self.outcomes[await self.ask(query)] += 1

        async with asyncio.TaskGroup() as group:
            for query in QUERIES:
                group.create_task(ask_on(query))

    async def until(self, outcome: str, times: int) -> None:
        self.outcomes.clear()
        async with asyncio.timeout(PATIENCE):
            while self.outcomes[outcome] < times:
                await asyncio.sleep(0.01)


@dataclass
class Harmed:
    data_dir: Path
    url: str
    line: Line
    reader: Reader

    async def kill(self) -> None:
        watched = Watched(engine_pid(self.data_dir, "mongod"))
        watched.kill()
        await watched.ended()

    async def stop(self) -> None:
        watched = Watched(pid := engine_pid(self.data_dir, "mongod"))
        os.kill(pid, signal.SIGTERM)
        await watched.ended()

    async def step_down(self) -> None:
        async with connect(self.url, "admin", TIMEOUT) as admin:
            with suppress(PyMongoError):  # it may close the connection first
                await client_of(admin).reads.admin.command("replSetStepDown", 1, force=True)

    async def cut(self) -> None:
        for _ in range(5):
            await self.line.cut()
            await self.reader.until("unavailable", 1)
            await self.line.mend()
            await self.reader.until("right", 1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harmed(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Harmed]:
    folder = tmp_path_factory.mktemp("lists")
    async with embedded_engines(folder) as engines, line_to(engines.mongodb_url) as (line, url):
        settings = Settings.model_validate({"_env_file": None, "mongodb_url": url, "max_points": MANY})
        async with connect(url, "datacosmos", TIMEOUT) as database:
            stores = Stores.of(database)
            await stores.prepare()
            await stores.points.add([point(NOON + n * SECOND, value=n / 7) for n in range(MANY)])
            app = app_of(settings, stores)
            async with (
                serving(app, settings, host="127.0.0.1", port=0) as address,
                httpx.AsyncClient(base_url=address) as client,
            ):
                reader = Reader(client)
                assert [await reader.ask(query) for query in QUERIES] == ["right"] * len(QUERIES)
                yield Harmed(folder, url, line, reader)


HARMS: list[Callable[[Harmed], Awaitable[None]]] = [Harmed.kill, Harmed.stop, Harmed.step_down, Harmed.cut]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_an_answer_is_whole_and_right_or_an_error_whatever_becomes_of_mongodb(
    harmed: Harmed, harm: Callable[[Harmed], Awaitable[None]]
) -> None:
    reading = asyncio.create_task(harmed.reader.go_on())
    try:
        await harmed.reader.until("right", 2 * len(QUERIES))
        await harm(harmed)
        await harmed.reader.until("right", 4 * len(QUERIES))
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    if not reading.cancelled():
        reading.result()
