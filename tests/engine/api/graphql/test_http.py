import asyncio
import gzip
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import GRAPHQL_RESPONSE, app_of, client_of, client_without_store, point

JSON = "application/json"
TYPENAME = "{ __typename }"
ANSWER = {"data": {"__typename": "Query"}}


async def post(client: httpx.AsyncClient, query: str, accept: str = JSON, **fields: Any) -> httpx.Response:
    return await client.post("/graphql", json={"query": query, **fields}, headers={"Accept": accept})


@pytest.mark.parametrize(
    ("accept", "served"),
    [
        (JSON, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON};q=0.9", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.1, {JSON}", JSON),
        (f"{GRAPHQL_RESPONSE};q=0, */*;q=0.1", JSON),
        (f"{GRAPHQL_RESPONSE.upper()} ; charset=utf-8", GRAPHQL_RESPONSE),
        ("application/json, multipart/mixed", JSON),
        ("text/html;q=bad, */*", JSON),
        ("", JSON),
    ],
)
async def test_the_answer_has_the_type_that_the_client_would_rather_have(
    client: httpx.AsyncClient, accept: str, served: str
) -> None:
    answer = await post(client, TYPENAME, accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{served}; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    assert answer.json() == ANSWER


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "application/json;q=0", "image/*"])
async def test_a_type_that_is_not_served_is_not_acceptable(client: httpx.AsyncClient, accept: str) -> None:
    answer = await post(client, TYPENAME, accept)
    assert answer.status_code == 406
    assert GRAPHQL_RESPONSE in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("{", {}),
        ("{ nothing }", {}),
        ("query($first: Int!) { pointsConnection(first: $first) { __typename } }", {"variables": {"first": "x"}}),
        ("query($first: Int!) { pointsConnection(first: $first) { __typename } }", {}),
        ("query A { __typename }", {"operationName": "B"}),
        ("mutation { x }", {}),
        ("subscription { x }", {}),
        ("type Query { a: Int }", {}),
    ],
)
async def test_what_can_not_be_executed_is_400_or_for_who_knows_json_only_200(
    client: httpx.AsyncClient, query: str, fields: dict[str, Any]
) -> None:
    for accept, status in ((GRAPHQL_RESPONSE, 400), (JSON, 200)):
        answer = await post(client, query, accept, **fields)
        assert answer.status_code == status
        assert answer.json().keys() == {"errors"}


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1e9999999"], ids=["long", "negative", "exponent"])
@pytest.mark.parametrize(
    "query",
    [
        "{ pointsConnection(first: %s) { __typename } }",
        "{ points(start: %s) { time } }",
        "{ points(series: [%s]) { time } }",
        "{ points(start: {a: %s}) { time } }",
        "{ discards(reason: %s) { id } }",
        "{ __typename @skip(if: %s) }",
        "query($first: Int = %s) { pointsConnection(first: $first) { __typename } }",
        "query($start: DateTime = %s) { points(start: $start) { time } }",
        "query($all: [Int] = [%s]) { __typename }",
    ],
)
async def test_a_number_that_no_type_can_hold_is_the_clients_mistake(
    client: httpx.AsyncClient, query: str, number: str
) -> None:
    with capture_logs() as logged:
        answer = (await post(client, query % number)).json()
    assert answer.keys() == {"errors"}
    assert all("unexpected" not in error["message"] and "INTERNAL" not in str(error) for error in answer["errors"])
    assert [line["event"] for line in logged] == ["request"]


SEVERAL = "query A { a: __typename } query B { b: __typename }"


async def test_of_several_operations_one_must_be_named(client: httpx.AsyncClient) -> None:
    for accept, status in ((GRAPHQL_RESPONSE, 400), (JSON, 200)):
        for answer in (
            await post(client, SEVERAL, accept),
            await post(client, SEVERAL, accept, operationName=None),
            await client.get("/graphql", params={"query": SEVERAL}, headers={"Accept": accept}),
        ):
            assert answer.status_code == status
            [error] = answer.json()["errors"]
            assert "operationName" in error["message"]
    for name, data in (("A", {"a": "Query"}), ("B", {"b": "Query"})):
        assert (await post(client, SEVERAL, operationName=name)).json() == {"data": data}
        asked = {"query": SEVERAL, "operationName": name}
        assert (await client.get("/graphql", params=asked)).json() == {"data": data}
    assert (await post(client, "query A { __typename } fragment F on Query { x }")).json().keys() == {"errors"}


HASH = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_a_query_by_its_hash_is_told_that_the_text_is_wanted(client: httpx.AsyncClient, accept: str) -> None:
    headers = {"Accept": accept}
    for answer in (
        await client.post("/graphql", json={"extensions": HASH}, headers=headers),
        await client.post("/graphql", json={"query": None, "variables": {}, "extensions": HASH}, headers=headers),
        await client.get("/graphql", params={"extensions": orjson.dumps(HASH).decode()}, headers=headers),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(accept)
        error = {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}}
        assert answer.json() == {"errors": [error]}
    assert (await post(client, TYPENAME, extensions=HASH)).json() == ANSWER
    assert (await client.post("/graphql", json={"extensions": {"x": HASH}})).status_code == 400


async def test_an_error_of_a_field_is_200_in_either_type(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        for accept in (GRAPHQL_RESPONSE, JSON):
            for query in ("{ points { value } }", "{ discards { id } __typename }"):
                answer = await post(client, query, accept)
                assert answer.status_code == 200
                assert answer.json().keys() == {"data", "errors"}


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b'"{ __typename }"',
        b"{}",
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": 5}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "operationName": 5}',
        b'{"query": "{ __typename }", "extensions": "x"}',
        b'{"query": "{ __typename \\ud800 }"}',
        b"[" * 100_000,
        b"[]",
        b'[{"query": "{ __typename }"}, {"query": "{ __typename }"}]',
    ],
    ids=lambda body: repr(body[:32]),
)
async def test_a_request_that_is_none_is_400_in_either_type(
    client: httpx.AsyncClient, accept: str, body: bytes
) -> None:
    answer = await client.post("/graphql", content=body, headers={"Content-Type": JSON, "Accept": accept})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith(accept)
    assert answer.json()["errors"][0]["extensions"]["code"] in {"BAD_REQUEST", "BATCH_REFUSED"}


async def test_fields_that_a_client_adds_are_ignored(client: httpx.AsyncClient) -> None:
    assert (await post(client, TYPENAME, variables=None, operationName=None, id="x")).json() == ANSWER


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/graphql", ""])
async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient, content_type: str) -> None:
    body = orjson.dumps({"query": TYPENAME})
    answer = await client.post("/graphql", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 415
    good = await client.post("/graphql", content=body, headers={"Content-Type": "Application/JSON;charset=utf-8"})
    assert good.json() == ANSWER


async def test_a_query_may_come_in_the_address(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(value=1.0), point(value=2.0)])
    asked = {
        "query": "query A($first: Int!) { pointsConnection(first: $first) { edges { node { value } } } } query B { x }",
        "variables": '{"first": 1}',
        "operationName": "A",
    }
    assert (await client.get("/graphql", params={"query": TYPENAME, "variables": ""})).json() == ANSWER
    answer = await client.get("/graphql", params=asked | {"query": asked["query"].replace(" query B { x }", "")})
    assert answer.json() == {"data": {"pointsConnection": {"edges": [{"node": {"value": 1.0}}]}}}
    for wrong in ({}, {"query": ""}, {"query": TYPENAME, "variables": "{"}, {"query": TYPENAME, "variables": "[]"}):
        assert (await client.get("/graphql", params=wrong)).status_code == 400


async def test_get_executes_queries_only(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": "mutation { x }"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_told_which_there_are(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/graphql")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_a_body_up_to_the_limit_is_read_and_a_larger_one_refused(settings: Settings, stores: Stores) -> None:
    body = orjson.dumps({"query": TYPENAME})
    for limit, status in ((len(body), 200), (len(body) - 1, 413)):
        small = settings.model_copy(update={"max_request_bytes": limit})
        async with client_of(app_of(small, stores)) as client:
            answer = await client.post("/graphql", content=body, headers={"Content-Type": JSON})
            assert answer.status_code == status
    assert f"larger than {len(body) - 1} bytes" in answer.json()["errors"][0]["message"]


async def test_a_gzipped_body_is_read_within_the_same_limit(settings: Settings, stores: Stores) -> None:
    body = orjson.dumps({"query": TYPENAME})
    bomb = gzip.compress(body[:-1] + b" " * 500_000 + b"}")
    small = settings.model_copy(update={"max_request_bytes": 10_000})
    async with client_of(app_of(small, stores)) as client:
        for packed, coding, status in (
            (gzip.compress(body), "gzip", 200),
            (gzip.compress(body), "x-gzip", 200),
            (body, "identity", 200),
            (bomb, "gzip", 413),
            (body, "gzip", 400),
            (gzip.compress(body)[:-9], "gzip", 400),
            (body, "br", 415),
            (body, "gzip, gzip", 415),
        ):
            headers = {"Content-Type": JSON, "Content-Encoding": coding}
            answer = await client.post("/graphql", content=packed, headers=headers)
            assert answer.status_code == status, (coding, answer.text)
            assert answer.json().keys() == ({"data"} if status == 200 else {"errors"})
        assert answer.headers["accept-encoding"] == "gzip"


async def test_a_body_without_a_length_is_read_no_further_than_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    async with asyncio.timeout(10):
        answer = await client.post("/graphql", content=endless(), headers={"Content-Type": JSON})
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["extensions"]["code"] == "REQUEST_TOO_LARGE"
    assert sent <= 18  # of 64 KiB, where 1 MiB is allowed
