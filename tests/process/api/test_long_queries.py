"""The API's process while eight of the largest queries run at once, seen from outside."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson.decimal128 import Decimal128

from datacosmos.auth.issuers import Role
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database, Document
from datacosmos.store.stores import Stores
from tests.asking import NOON, bearer, token
from tests.programs import Program, program

MANY = 100_000
MOST_MEMORY = 150_000_000  # bytes
CURSORS = "{ pointsConnection(first: 100000) { a: edges { cursor } b: edges { node { time } cursor } } }"
DOCUMENTS = "{ points { time value tags receivedAt } }"
DISCARDS = """{ discards {
  id source series time value tags reason reasons receivedAt faults duplicateOf raw rawBase64 } }"""
LOCATIONS = '{ locations(userId: "ada") { minute lat long accuracy speed count duplicates } }'
BRACES = {CURSORS: 3, DOCUMENTS: 1, DISCARDS: 1, LOCATIONS: 1}  # in a row, over the lists of it
ASKED = [CURSORS, CURSORS, CURSORS, DOCUMENTS, DOCUMENTS, DISCARDS, DISCARDS, LOCATIONS]


def points(**changes: Any) -> Iterator[Document]:
    common = {"source": "data_server", "series": "datacosmos", "tags": ["a"], "raw": b"x" * 50}
    for n in range(MANY):
        time = NOON + n * timedelta(milliseconds=10)
        own = {"_id": f"{changes['status']}/{n:06}", "time": time, "value": n / 7, "received_at": time}
        yield common | own | changes


def minutes() -> Iterator[Document]:
    known = {name: Decimal128("81.4020042") for name in ("lat", "long", "accuracy", "speed")}
    for n in range(MANY):
        minute = NOON + n * timedelta(minutes=1)
        held = known | {"minute": minute, "seen": [1, 2], "count": 2, "speeds": 2, "duplicates": 1}
        yield {"_id": {"user": "ada", "minute": f"{minute:%Y-%m-%dT%H:%M}"}, "minutes": [held]}


async def store(database: Database) -> None:
    await Stores.of(database).prepare()
    await insert(database, "points", points(status="accepted", reason=None, reasons=[]))
    await insert(database, "points", points(status="discarded", reason="system", reasons=["system"]))
    await insert(database, "minutes", minutes())


async def insert(database: Database, name: str, documents: Iterator[Document]) -> None:
    while batch := list(islice(documents, 10_000)):
        await database[name].insert_many(batch, ordered=False)


async def braces(service: Program, query: str, who: str) -> int:
    """How many objects are in the lists of the answer."""
    found, begin = 0, b""
    url, body = f"{service.address}/graphql", {"query": query}
    async with (
        httpx.AsyncClient(timeout=300) as client,
        client.stream("POST", url, json=body, headers=bearer(who) | {"Accept-Encoding": "identity"}) as answer,
    ):
        assert answer.status_code == 200
        async for piece in answer.aiter_raw():
            begin = begin or piece
            found += piece.count(b"{")
    return found - begin.partition(b"[")[0].count(b"{")


async def answered(service: Program, until: Sequence[asyncio.Task[int]]) -> int:
    """How often /health answered until one of the tasks was done."""
    count = 0
    async with httpx.AsyncClient() as client:
        while not any(task.done() for task in until):
            assert (await client.get(f"{service.address}/health", timeout=30)).status_code == 200
            count += 1
    return count


def peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    [kibibytes] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(kibibytes) << 10


@pytest.mark.serial
@pytest.mark.timeout(400)
async def test_health_is_answered_and_memory_bounded_while_eight_of_the_largest_queries_run(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    await store(database)
    assert settings.mongodb_url and settings.nats_url and settings.jwt_secret  # noqa: PT018
    secret = settings.jwt_secret.get_secret_value()
    variables = {
        "DATACOSMOS_MONGODB_URL": settings.mongodb_url.get_secret_value(),
        "DATACOSMOS_MONGODB_DATABASE": settings.mongodb_database,
        "DATACOSMOS_NATS_URL": settings.nats_url.get_secret_value(),
        "DATACOSMOS_NATS_STREAM": settings.nats_stream,
        "DATACOSMOS_JWT_SECRET": secret,
    }
    async with program(tmp_path, "api", "--port", "0", **variables) as service:
        who = token(Role.ADMIN, secret=secret)
        asking = [asyncio.create_task(braces(service, query, who)) for query in ASKED]
        assert await answered(service, asking) >= 5
        assert await asyncio.gather(*asking) == [MANY * BRACES[query] for query in ASKED]
        assert peak(service.pid) < MOST_MEMORY
