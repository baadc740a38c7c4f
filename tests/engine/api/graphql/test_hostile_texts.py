"""No text of a client is worth many of the answer: names, errors and lists are bounded in bytes."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from datacosmos.errors import Overloaded, StoreUnavailable
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import NOON, SECOND, app_of, ask, client_of, code, point

LONG = "a" * 101
HUGE, VAST = "a" * 40_000, "a" * 900_000
ALIASED = "{{ pointsConnection {{ edges {{ node {{ {alias}: time }} }} }} }}"


@pytest.fixture
async def client(settings: Settings, stores: Stores) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(app_of(settings, stores)) as client:
        yield client


@pytest.mark.parametrize("alias", [LONG, HUGE])
async def test_an_alias_may_be_so_long_and_no_longer(client: httpx.AsyncClient, alias: str) -> None:
    assert "errors" not in await ask(client, ALIASED.format(alias=LONG[1:]))
    answer = await ask(client, ALIASED.format(alias=alias))
    assert answer["errors"][0]["message"] == f"a name in the query has {len(alias)} characters; 100 are allowed"
    assert code(answer) == "QUERY_TOO_LARGE"


async def test_a_query_may_be_so_long_and_no_longer(client: httpx.AsyncClient) -> None:
    query = "{ __typename }"
    assert "errors" not in await ask(client, query.ljust(50_000))
    answer = await client.post("/graphql", json={"query": query.ljust(50_001)})
    assert answer.status_code == 400
    assert code(answer.json()) == "QUERY_TOO_LARGE"


OPERATIONS = " ".join(f"query Q{n} {{ points(series: ${LONG * 4}) {{ time }} }}" for n in range(100))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"query": OPERATIONS, "operationName": "Q1"}, id="a variable's name"),
        pytest.param({"query": f"{{ {HUGE} }}"}, id="a field"),
        pytest.param({"query": f"{{ points(series: {HUGE}) {{ time }} }}"}, id="an enum's value"),
        pytest.param({"query": f'{{ points(start: "{HUGE}") {{ time }} }}'}, id="a time"),
        pytest.param({"query": f"{{ points(series: 1{'0' * 4000}) {{ time }} }}"}, id="a number"),
        pytest.param({"query": f'{{ pointsConnection(after: "{HUGE}") {{ __typename }} }}'}, id="a cursor"),
        pytest.param({"query": f"{HUGE} {{ a }}"}, id="no keyword"),
        pytest.param({"query": f'{{ a "{HUGE}'}, id="an open string"),
        pytest.param({"query": "{ __typename }", "operationName": VAST}, id="an operation"),
        pytest.param({"query": "{ __typename }", "variables": VAST}, id="variables that are none"),
        pytest.param(
            {"query": "query Q($v: DateTime) { points(start: $v) { time } }", "variables": {"v": VAST}}, id="a value"
        ),
        pytest.param(
            {"query": "query Q($v: [Int!]) { points { time } }", "variables": {"v": [HUGE] * 20}}, id="a list of values"
        ),
    ],
)
async def test_no_error_repeats_more_than_a_line_of_what_was_sent(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await client.post("/graphql", json=body)
    assert len(answer.content) < 50_000
    assert max(len(error["message"]) for error in answer.json()["errors"]) <= 301


async def test_an_address_is_repeated_by_no_problem(client: httpx.AsyncClient) -> None:
    for query in ("start", "limit", HUGE[:5000]):
        answer = await client.get(f"/points?{query}={HUGE[:5000]}")
        assert len(answer.content) < 2500


async def test_an_answer_of_too_many_bytes_is_an_error(settings: Settings, stores: Stores, points: Points) -> None:
    await points.add([point(NOON + n * SECOND) for n in range(100)])
    small = settings.model_copy(update={"answer_max_bytes": 1000})
    async with client_of(app_of(small, stores)) as client:
        answer = await ask(client, "{ points { time value tags } }")
    assert code(answer) == "ANSWER_TOO_LARGE"
    assert "1000 bytes" in answer["errors"][0]["message"]


@pytest.mark.parametrize("error", [Overloaded("too much"), StoreUnavailable("gone")])
async def test_whoever_is_told_that_it_is_unavailable_is_told_when_to_ask_again(
    client: httpx.AsyncClient, stores: Stores, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(type(stores.receipts), "get", fail)
    answer = await client.post("/graphql", json={"query": '{ receipt(deliveryId: "x") { deliveryId } }'})
    assert code(answer.json()) == "UNAVAILABLE"
    assert answer.headers["retry-after"] == "5"
