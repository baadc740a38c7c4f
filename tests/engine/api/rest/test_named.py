import asyncio
import json
import math
from itertools import count
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.auth.issuers import Role
from datacosmos.settings import Settings
from datacosmos.sources.json.lists import MAX_FAULTS
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, USER, app_of, bearer, client_of, token

PROBLEM = "application/problem+json"
Point = tuple[str, float, float]


def body(points: list[Point]) -> list[dict[str, Any]]:
    return [{"name": name, "t": t, "v": v} for name, t, v in points]


async def push(client: httpx.AsyncClient, *points: Point, who: str | None = None) -> tuple[int, int]:
    """How many were stored, and how many were there already."""
    answer = await client.post("/api", json=body(list(points)), headers=bearer(who))
    assert answer.status_code == 201, answer.text
    return answer.json()["stored"], answer.json()["already"]


async def ask(
    client: httpx.AsyncClient, name: str, params: dict[str, Any] | None = None, who: str | None = None
) -> httpx.Response:
    return await client.get(f"/api/{quote(name, safe='')}", params=params, headers=bearer(who))


async def stored(client: httpx.AsyncClient) -> dict[str, dict[float, float]]:
    """Every point of the caller's, by name and time."""
    found: dict[str, dict[float, float]] = {}
    for told in (await client.get("/series", params={"limit": 1000})).json()["series"]:
        whole = (await client.get(f"/series/{told['id']}")).json()
        found[told["name"]] = {point["t"]: point["v"] for point in whole["points"]}
        assert len(found[told["name"]]) == whole["count"]
    return found


# Pushing


async def test_points_of_many_names_are_series_of_the_caller(client: httpx.AsyncClient) -> None:
    assert await push(client, ("a", 2, 1.5), ("b", 1.5, -1), ("a", 1, 0.5)) == (3, 0)
    assert await push(client, ("a", 3, 7)) == (1, 0)
    assert await stored(client) == {"a": {1: 0.5, 2: 1.5, 3: 7}, "b": {1.5: -1}}


async def test_a_time_may_be_text_and_the_same_instant_is_the_same_time(client: httpx.AsyncClient) -> None:
    for t in ("1970-01-01T00:00:01.5Z", "1970-01-01T01:00:01.500+01:00", 1.5):
        await client.post("/api", json=[{"name": "a", "t": t, "v": 1}])
    assert await stored(client) == {"a": {1.5: 1}}


async def test_the_first_of_a_name_and_time_wins_within_a_request_too(client: httpx.AsyncClient) -> None:
    assert await push(client, ("a", 1, 1), ("a", 1, 2), ("b", 1, 3), ("a", 1, 4)) == (2, 2)
    assert await push(client, ("a", 1, 5), ("a", 2, 6)) == (1, 1)
    assert await stored(client) == {"a": {1: 1, 2: 6}, "b": {1: 3}}


async def test_a_request_repeated_after_a_lost_answer_changes_nothing(client: httpx.AsyncClient) -> None:
    points = [(f"name {n % 7}", float(n // 2), float(n)) for n in range(5000)]
    assert await push(client, *points) == (5000, 0)
    before = await stored(client)
    assert await push(client, *points) == (0, 5000)
    assert await stored(client) == before


OWNERS = (f"owner {number}" for number in count())
POINTS = st.tuples(st.sampled_from(["a", "b/c", "ü"]), st.integers(0, 12), st.integers(0, 1000).map(float))


@given(st.lists(st.lists(POINTS, min_size=1, max_size=20), min_size=1, max_size=6))
@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_the_chunks_the_first_wins_as_in_a_dict(
    settings: Settings, stores: Stores, chunks: list[list[Point]]
) -> None:
    who = token(Role.USER, subject=next(OWNERS))
    expected: dict[tuple[str, float], float] = {}
    async with client_of(app_of(settings, stores)) as client:
        client.headers.update(bearer(who))
        for chunk in chunks:
            before = len(expected)
            for name, t, v in chunk:
                expected.setdefault((name, t), v)
            new = len(expected) - before
            assert await push(client, *chunk, who=who) == (new, len(chunk) - new)
        found = await stored(client)
    assert {(name, t): v for name, values in found.items() for t, v in values.items()} == expected


async def test_of_two_who_send_at_once_one_wins_each_time_and_the_counts_say_who(
    settings: Settings, stores: Stores
) -> None:
    """Two processes' worth of API, each with many clients, all sending overlapping chunks in an order of their own."""
    requests = [
        [(f"n{(start + k) % 3}", float((start + k) % 300), float(start * 1000 + k)) for k in range(40)]
        for start in range(0, 300, 10)
    ]
    async with client_of(app_of(settings, stores)) as one, client_of(app_of(settings, stores)) as two:
        counts = await asyncio.gather(*(push(client, *points) for points in requests for client in (one, two)))
        found = await stored(one)
    sent = {(name, t) for points in requests for name, t, _ in points}
    assert {(name, t) for name, values in found.items() for t in values} == sent
    assert sum(new for new, _ in counts) == len(sent)
    assert all(new + old == 40 for new, old in counts)
    candidates = {(name, t, v) for points in requests for name, t, v in points}
    assert all((name, t, v) in candidates for name, values in found.items() for t, v in values.items())


async def test_one_bad_item_and_nothing_is_stored_under_any_name(client: httpx.AsyncClient) -> None:
    items: list[dict[str, Any]] = [
        {"name": "a", "t": 1, "v": 1},
        {"name": "b", "t": 2, "v": "3"},
        {"name": "c", "t": True, "v": 1},
        {"name": "", "t": 1, "v": 1},
        {"name": "d", "t": "yesterday", "v": 1},
        {"name": "e", "t": 1},
        {"name": "f", "t": 1, "v": None, "w": 1},
        {"name": "g", "t": 1e300, "v": 1},
        {"name": "h", "t": 5, "v": 5},
    ]
    answer = await client.post("/api", json=items)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    assert [error["index"] for error in answer.json()["errors"]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(error["detail"] for error in answer.json()["errors"])
    assert await stored(client) == {}


async def test_of_many_faults_the_first_hundred_are_named(client: httpx.AsyncClient) -> None:
    items = [{"name": "a", "t": n, "v": "1" if n % 2 else 1} for n in range(1000)]
    errors = (await client.post("/api", json=items)).json()["errors"]
    assert [error["index"] for error in errors] == list(range(1, 2 * MAX_FAULTS, 2))


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"[]", b"{}", b"null", b'"a"', b'[{"name":"a","t":1,"v":1},]', b'[{"name":"a","t":1,"v":NaN}]',
        b'[{"name":"a","t":1,"v":Infinity}]', b'[{"name":"a","t":1,"v":-Infinity}]', b'[{"name":"a","t":1,"v":1e999}]',
        b'[{"name":"a","t":NaN,"v":1}]', b'[{"name":"a","t":1,"v":true}]', b'[{"name":"a","t":"1","v":1}]',
        b'[{"name":"a","t":1,"v":"1"}]', b'[{"name":1,"t":1,"v":1}]', b'[{"name":"a\\u0000","t":1,"v":1}]',
        b'[{"name":"\xff","t":1,"v":1}]', b'[{"name":"\\ud800","t":1,"v":1}]', b"[" * 200_000, b"{" * 10,
        b'[{"name":"a","t":1,"v":1}] [', json.dumps([{"name": "a" * 257, "t": 1, "v": 1}]).encode(),
    ],
    ids=lambda sent: repr(sent)[:50],
)  # fmt: skip
async def test_whatever_is_wrong_with_a_body_it_is_400_and_nothing_is_stored(
    client: httpx.AsyncClient, sent: bytes
) -> None:
    answer = await client.post("/api", content=sent)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["errors"]
    assert await stored(client) == {}


async def test_a_request_of_more_names_than_fit_is_told_to_be_split(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api", json=body([(f"n{n}", 1, 1) for n in range(10_001)]))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    assert "split it" in answer.json()["detail"]


async def test_a_body_over_the_limit_is_refused(settings: Settings, stores: Stores) -> None:
    async with client_of(app_of(settings.model_copy(update={"upload_max_bytes": 100}), stores)) as client:
        assert (await client.post("/api", content=json.dumps(body([("a", 1, 1)])).ljust(100))).status_code == 201
        refused = await client.post("/api", content=json.dumps(body([("a", 2, 2)])).ljust(101))
        assert refused.status_code == 413
        assert refused.headers["content-type"] == PROBLEM
        assert await stored(client) == {"a": {1: 1}}


# Asking


async def test_average_and_sum_are_of_the_range_with_both_its_ends_and_unrounded(client: httpx.AsyncClient) -> None:
    values = [0.1 * n for n in range(10)]
    await push(client, *(("a", t, v) for t, v in enumerate(values)))
    ranges: list[tuple[dict[str, Any], list[float]]] = [
        ({}, values),
        ({"from": 2, "to": "1970-01-01T00:00:04Z"}, values[2:5]),
        ({"from": 7}, values[7:]),
        ({"to": 3.5}, values[:4]),
        ({"from": 3, "to": 3}, values[3:4]),
    ]
    for params, part in ranges:
        answer = await ask(client, "a", params)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        total = math.fsum(part)
        assert answer.json() == {"avg": pytest.approx(total / len(part), rel=1e-15), "sum": total}


async def test_a_sum_that_is_a_double_is_told_though_sums_of_its_parts_are_none(client: httpx.AsyncClient) -> None:
    huge = 1.7e308
    values = [huge] * 5000 + [0.25] + [-huge] * 5000
    await push(client, *(("far", t, v) for t, v in enumerate(values)))
    assert (await ask(client, "far")).json() == {"avg": 0.25 / 10_001, "sum": 0.25}
    assert (await ask(client, "far", {"from": "1", "to": "9999"})).json() == {"avg": 0.25 / 9999, "sum": 0.25}
    assert (await ask(client, "far", {"to": "1"})).json() == {"avg": huge, "sum": None}


async def test_nothing_in_range_has_no_average_and_the_sum_0(client: httpx.AsyncClient) -> None:
    await push(client, ("a", 1, 1))
    for params in ({"from": 2}, {"to": 0}, {"from": 1.1, "to": 1.2}):
        answer = await ask(client, "a", params)
        assert (answer.status_code, answer.text) == (200, '{"avg":null,"sum":0.0}')


async def test_an_unknown_name_is_not_found(client: httpx.AsyncClient) -> None:
    await push(client, ("a", 1, 1))
    for name in ("b", "A", "a ", "a/b", ""):
        answer = await ask(client, name)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"from": 5, "to": 4}, "to (4) is before from (5)"),
        ({"from": "1970-01-01T00:00:05Z", "to": "4.999999"}, "is before from"),
        ({"from": "noon"}, "'noon'"),
        ({"to": "2024-03-28T16:55:34"}, "offset"),
        ({"to": "nan"}, "'nan'"),
        ({"from": "1e999"}, "years 1 to 9999"),
    ],
)
async def test_a_range_that_is_none_is_a_bad_request(
    client: httpx.AsyncClient, params: dict[str, Any], said: str
) -> None:
    await push(client, ("a", 1, 1))
    answer = await ask(client, "a", params)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    assert said in answer.json()["detail"]


ODD_NAMES = [
    "a/b", "/", "//", "a//b/", ".", "..", "../series", "a?b", "a#b", "a%2Fb", "%", "a b", " ", "a+b", "ü/日本", "🌡",
    "count", "a&b=c", "{name}", '"', "\\", "a;b", "\u2028",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_name_may_hold_whatever_can_be_encoded(client: httpx.AsyncClient, name: str) -> None:
    await push(client, (name, 1, 2.5), ("other", 1, 1))
    path = f"/api/{quote(name, safe='')}".replace(".", "%2E")
    assert (await client.get(httpx.URL(raw_path=path.encode()))).json() == {"avg": 2.5, "sum": 2.5}
    if not {*name} & set("?#%. "):
        assert (await client.get(f"/api/{quote(name, safe='/')}")).json()["sum"] == 2.5


async def test_a_name_always_means_the_callers_own(client: httpx.AsyncClient) -> None:
    root = token(Role.ADMIN, subject="root")
    everybody: dict[str | None, float] = {None: 1.0, USER: 2.0, token(Role.USER, subject="bob"): 3.0}
    for who, v in everybody.items():
        assert (await ask(client, "a", who=who)).status_code == 404
        assert await push(client, ("a", 1, v), who=who) == (1, 0)
    for who, v in everybody.items():
        assert (await ask(client, "a", who=who)).json()["sum"] == v
    assert (await ask(client, "a", who=root)).status_code == 404
    assert (await ask(client, "a", who=ADMIN)).json()["sum"] == 2.0


async def test_a_series_stored_whole_is_asked_and_added_to_by_its_name(client: httpx.AsyncClient) -> None:
    await client.post("/series", json={"name": "mast", "start": 1, "interval": 1, "values": [1, 2, 3]})
    assert await push(client, ("mast", 3, 99), ("mast", 4, 4)) == (1, 1)
    assert (await ask(client, "mast")).json() == {"avg": 2.5, "sum": 10}


async def test_the_documentation_tells_the_real_status_codes(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()["paths"]
    always = {"401", "503", "default"}
    assert set(document["/api"]["post"]["responses"]) == always | {"201", "400", "403", "408", "413", "415"}
    assert set(document["/api/{name}"]["get"]["responses"]) == always | {"200", "400", "404"}
    names = [parameter["name"] for parameter in document["/api/{name}"]["get"]["parameters"]]
    assert names == ["name", "from", "to"]
