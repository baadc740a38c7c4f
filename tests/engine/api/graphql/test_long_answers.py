"""Long answers wait in a file until they are sent, leave none behind, and take turns."""

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message
from structlog.testing import capture_logs

from datacosmos.bounds import Bound
from datacosmos.domain.columns import Rows, Table
from datacosmos.http import pace
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.connection import client_of as client_of_store
from datacosmos.store.mongo.finding import Batches
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import NOON, app_of, ask, client_of, code
from tests.engine.api.graphql.files import longest_file, nameless_files, until_nameless_files_are
from tests.unit.http.echo import refused

MANY = 20_000
LONG = "{ points { time value } }"
FOUR = "{ " + " ".join(f"list{n}: points {{ time value }}" for n in range(4)) + " }"
TIMES = "time " + " ".join(f"time{n}: time" for n in range(4))
WIDE = "{ " + " ".join(f"list{n}: points {{ {TIMES} }}" for n in range(3)) + " }"  # 13 MB: more than a socket holds
ONE_FAILS = "{ points { time value } pointsConnection(first: 0) { __typename } }"


@pytest.fixture
async def many(database: Database, stores: Stores) -> None:
    accepted: dict[str, Any] = {
        "series": "datacosmos",
        "status": "accepted",
        "source": "data_server",
        "tags": [],
        "reasons": [],
    }
    times = [NOON + n * timedelta(milliseconds=1) for n in range(MANY)]
    await database["points"].insert_many(
        [
            {"_id": f"{n:032}", "time": time, "value": n / 7, "received_at": NOON} | accepted
            for n, time in enumerate(times)
        ],
        ordered=False,
    )


@pytest.fixture
async def client(settings: Settings, stores: Stores, many: None) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(app_of(settings, stores)) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "most", "codes"),
    [
        (LONG, MANY, []),
        (FOUR, MANY, []),
        (LONG, MANY - 1, ["TOO_MANY_POINTS"]),
        (FOUR, MANY - 1, ["TOO_MANY_POINTS"]),
        (ONE_FAILS, MANY, ["INVALID_PAGE"]),
    ],
)
async def test_no_file_is_left_however_a_query_ends(
    settings: Settings, stores: Stores, many: None, query: str, most: int, codes: list[str]
) -> None:
    before = nameless_files()
    app = app_of(settings.model_copy(update={"max_points": most}), stores)
    async with client_of(app) as client:
        answer = await ask(client, query)
    assert [error["extensions"]["code"] for error in answer.get("errors", [])] == codes
    await until_nameless_files_are(before)


async def test_no_file_is_left_by_a_client_that_goes_away_in_mid_answer(
    settings: Settings, stores: Stores, many: None
) -> None:
    before = nameless_files()
    asked = {"query": WIDE}
    async with serving(app_of(settings, stores), settings, host="127.0.0.1", port=0) as address:
        async with httpx.AsyncClient() as client, client.stream("POST", f"{address}/graphql", json=asked) as answer:
            await anext(answer.aiter_raw(1))
            assert nameless_files() == before + 1
        await until_nameless_files_are(before)


async def test_a_client_that_takes_an_answer_too_slowly_does_not_keep_its_file(
    settings: Settings, stores: Stores, many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "GRACE", 0.1)
    monkeypatch.setattr(pace, "LEAST", 1 << 30)
    files, before = nameless_files(), refused("slow_answers")
    asked: list[Message] = [{"type": "http.request", "body": json.dumps({"query": LONG}).encode()}]
    taken: list[Message] = []

    async def receive() -> Message:
        return asked.pop() if asked else await asyncio.Event().wait() and {}

    async def send(message: Message) -> None:
        taken.append(message)
        if len(taken) == 3:
            await asyncio.Event().wait()

    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b""}
    async with asyncio.timeout(20):
        await app_of(settings, stores)(scope | {"headers": [(b"content-type", b"application/json")]}, receive, send)
    assert (len(taken), refused("slow_answers")) == (3, before + 1)
    await until_nameless_files_are(files)


async def test_an_answer_that_the_disk_has_no_room_for_is_an_error_as_a_whole(client: httpx.AsyncClient) -> None:
    before = nameless_files()
    with capture_logs() as logged, longest_file(300_000):
        answer = await ask(client, LONG)
    assert (code(answer), answer["data"]) == ("UNAVAILABLE", None)
    assert "can't hold an answer of this length" in answer["errors"][0]["message"]
    assert [line["event"] for line in logged] == ["field unavailable", "request"]
    await until_nameless_files_are(before)
    assert len((await ask(client, LONG))["data"]["points"]) == MANY


async def test_without_a_temporary_folder_short_answers_go_on(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    answer = await ask(client, LONG)
    assert code(answer) == "UNAVAILABLE"
    assert "missing" not in answer["errors"][0]["message"]
    page = await ask(client, "{ pointsConnection(first: 1000) { edges { node { time value } } } }")
    assert len(page["data"]["pointsConnection"]["edges"]) == 1000


class Stuck(Points):
    """A store whose records never end."""

    def find_accepted(self, *given: Any, **more: Any) -> Batches[Rows]:
        _, _, fields = given
        return self._endless() if "tags" in fields else super().find_accepted(*given, **more)

    async def _endless(self) -> AsyncGenerator[Rows]:
        while True:
            await asyncio.sleep(0)
            yield Table(500, {"tags": [()] * 500})


async def test_lists_that_take_for_ever_hold_up_none_of_another_kind(
    settings: Settings, stores: Stores, database: Database, many: None
) -> None:
    app = app_of(settings, replace(stores, points=Stuck(database)))
    async with client_of(app) as client:
        slow = [asyncio.create_task(ask(client, "{ points { tags } }")) for _ in range(4)]
        async with asyncio.timeout(60):
            assert len((await ask(client, LONG))["data"]["points"]) == MANY
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_list_gets_its_turns_among_others_of_its_kind(
    settings: Settings, stores: Stores, database: Database, many: None
) -> None:
    class Other(Stuck):
        """Of one series only."""

        def find_accepted(self, *given: Any, **more: Any) -> Batches[Rows]:
            series, *_ = given
            return self._endless() if series == "endless" else Points.find_accepted(self, *given, **more)

    settings = settings.model_copy(update={"public_series": ["datacosmos", "endless"]})
    app = app_of(settings, replace(stores, points=Other(database)))
    async with client_of(app) as client:
        slow = [asyncio.create_task(ask(client, '{ points(series: "endless") { tags } }')) for _ in range(4)]
        async with asyncio.timeout(60):
            assert len((await ask(client, "{ points { value tags } }"))["data"]["points"]) == MANY
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_lists_of_one_query_are_read_one_after_the_other(
    settings: Settings, stores: Stores, database: Database, many: None
) -> None:
    class Watched(Points):
        """Counts how many of its lists are being read."""

        reading, most = 0, 0

        async def find_accepted(self, *given: Any, **more: Any) -> AsyncGenerator[Rows]:
            self.reading += 1
            self.most = max(self.most, self.reading)
            async with aclosing(super().find_accepted(*given, **more)) as batches:
                async for some in batches:
                    yield some
            self.reading -= 1

    points = Watched(database)
    async with client_of(app_of(settings, replace(stores, points=points))) as client:
        answer = await ask(client, FOUR)
    assert [len(found) for found in answer["data"].values()] == [MANY] * 4
    assert points.most == 1


async def test_a_long_list_that_does_not_get_its_turn_is_unavailable_for_a_while(
    client: httpx.AsyncClient, database: Database
) -> None:
    bound = Bound("long_lists", 1, "long lists")
    client_of_store(database).long_lists = bound
    with bound.holding():
        answer = await client.post("/graphql", json={"query": FOUR})
        short = await ask(client, "{ pointsConnection(first: 1000) { edges { node { time } } } }")
    assert (code(answer.json()), answer.headers["Retry-After"]) == ("UNAVAILABLE", "5")
    assert len(short["data"]["pointsConnection"]["edges"]) == 1000
    assert len((await ask(client, LONG))["data"]["points"]) == MANY
