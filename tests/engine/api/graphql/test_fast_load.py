"""Long lists take nothing from others: no turn of the event loop, no work of MongoDB's when nobody waits for it."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from datacosmos.domain.columns import Columns, Rows
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.finding import Batches, Finder
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import NOON, app_of, client_of

MANY = 100_000
LONGEST = 0.15  # seconds of work between two turns of the event loop, three times what it should be: machines differ
QUERIES = [
    "{ points { time value } }",
    "{ pointsConnection(first: 100000) { edges { cursor node { time value } } pageInfo { endCursor } } }",
    "{ pointsConnection(first: 100000) { a: edges { cursor } b: edges { cursor } c: edges { node { time } } } }",
    "{ points { time value tags receivedAt } }",
]


@pytest.fixture
async def many(database: Database, stores: Stores) -> None:
    documents: list[dict[str, Any]] = [
        {
            "_id": f"{n:032}",
            "series": "datacosmos",
            "status": "accepted",
            "source": "data_server",
            "time": NOON + n * timedelta(milliseconds=1),
            "value": n / 7,
            "tags": [],
            "reasons": [],
            "received_at": NOON,
        }
        for n in range(MANY)
    ]
    await database["points"].insert_many(documents, ordered=False)


@pytest.fixture
def frozen() -> Generator[None]:
    """What the session of tests holds is no part of what is measured."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def longest_turn(stop: asyncio.Event) -> float:
    """How much work of this thread lay between two turns of ours: not how long the machine had other things to do."""
    longest = 0.0
    while not stop.is_set():
        began = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - began)
    return longest


@pytest.mark.parametrize("query", QUERIES)
async def test_the_event_loop_has_turns_while_long_lists_are_read(
    settings: Settings, stores: Stores, many: None, frozen: None, query: str
) -> None:
    async with client_of(app_of(settings.model_copy(update={"max_points": MANY}), stores)) as client:
        await client.post("/graphql", json={"query": query.replace("100000", "1")})
        stop = asyncio.Event()
        turns = asyncio.create_task(longest_turn(stop))
        asked = [client.post("/graphql", json={"query": query}) for _ in range(8 if query == QUERIES[0] else 2)]
        answers = await asyncio.gather(*asked)
        stop.set()
        assert await turns < LONGEST
    assert all(answer.content.count(b'"time"') == MANY for answer in answers)


class Slow(Points):
    """A store whose answers take a minute of MongoDB's."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._slow = Finder(database, "points")

    async def columns(self, *_: Any, **__: Any) -> AsyncGenerator[Columns]:
        slow = {"find": "points", "filter": {"$where": "sleep(60000) || true"}, "batchSize": 1}
        async for batch in self._slow.batches(slow):
            yield batch.columns()

    def find_accepted(self, *_: Any, **__: Any) -> Batches[Rows]:
        return self.columns()


async def under_way(database: Database) -> int:
    """How many reads of ours MongoDB is at."""
    operations = database.client.admin.aggregate(
        [{"$currentOp": {"allUsers": True}}, {"$match": {"ns": f"{database.name}.points", "op": "query"}}]
    )
    return len(await operations.to_list(None))


async def until_under_way(database: Database, number: int) -> None:
    async with asyncio.timeout(20):
        while await under_way(database) != number:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/graphql?query={points{time}}", None), ("/graphql", {"query": "{points{time}}"}), ("/points", None)],
)
async def test_a_query_ends_in_mongodb_when_its_client_leaves(
    settings: Settings, database: Database, stores: Stores, path: str, body: dict[str, str] | None
) -> None:
    await database["points"].insert_one({})
    app = app_of(settings, replace(stores, points=Slow(database)))
    async with serving(app, settings, host="127.0.0.1", port=0) as address:
        async with httpx.AsyncClient() as client:
            method = "POST" if body else "GET"
            asking = asyncio.create_task(client.request(method, address + path, json=body, timeout=60))
            await until_under_way(database, 1)
            asking.cancel()
        await until_under_way(database, 0)
