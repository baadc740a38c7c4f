"""Subscriptions as server-sent events from POST /graphql, as clients of graphql-sse ask for them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import orjson
import pytest

from datacosmos.api.feed.feed import Feed
from datacosmos.domain.points import Reason
from datacosmos.store.points.points import Points
from tests.asking import ADMIN, NOON, bearer, point
from tests.engine.api.feed.listening import Events, listening
from tests.engine.api.feed.talking import CHANGES
from tests.engine.api.feed.test_ends import soon_expired

EVENT_STREAM = "text/event-stream"


@asynccontextmanager
async def subscribed(
    address: str, query: str = CHANGES, who: str | None = None, **variables: Any
) -> AsyncGenerator[Events]:
    async with (
        httpx.AsyncClient(timeout=30, base_url=address) as client,
        client.stream(
            "POST",
            "/graphql",
            headers=bearer(who) | {"Accept": EVENT_STREAM},
            json={"query": query, "variables": variables},
        ) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(EVENT_STREAM)
        yield Events(answer)


async def told(events: Events) -> dict[str, Any]:
    message = await events.next()
    assert message["event"] == "next"
    return orjson.loads(message["data"])


async def test_a_point_is_told_as_it_is_stored(address: str, points: Points) -> None:
    async with subscribed(address) as events:
        assert (await told(events))["data"]["changes"]["events"] == []
        await points.add([stored := point()])
        [change] = (await told(events))["data"]["changes"]["events"]
    assert change["point"] == {"id": stored.id, "time": "2024-03-28T12:00:00Z", "value": 0.5}


async def test_whoever_asks_otherwise_is_told_what_they_asked_for(address: str, points: Points) -> None:
    query = "subscription($long: Boolean!) { changes { events { point { id value @include(if: $long) } } } }"
    async with subscribed(address, query, long=True) as one, subscribed(address, query, long=False) as other:
        for events in (one, other):
            await told(events)
        await points.add([stored := point()])
        assert (await told(one))["data"]["changes"]["events"] == [{"point": {"id": stored.id, "value": 0.5}}]
        assert (await told(other))["data"]["changes"]["events"] == [{"point": {"id": stored.id}}]


async def test_discards_are_told_to_administrators(address: str, points: Points) -> None:
    selected = "events { discard { rawPreview(length: $n) } }"
    query = f"subscription($n: Int!) {{ discardChanges(reason: SYSTEM) {{ {selected} }} }}"
    async with subscribed(address, query, ADMIN, n=3) as events:
        await told(events)
        await points.add([point(NOON, Reason.SYSTEM, raw=b"abcdef")])
        [change] = (await told(events))["data"]["discardChanges"]["events"]
    assert change == {"discard": {"rawPreview": "abc"}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('subscription { changes(after: "rubbish") { cursor } }', "INVALID_CURSOR"),
        ("subscription { discardChanges { cursor } }", "UNAUTHENTICATED"),
        ("subscription { changes { nothing } }", None),
        ("subscription {", None),
    ],
)
async def test_an_error_is_the_last_that_comes(address: str, query: str, code: str | None) -> None:
    async with subscribed(address, query) as events:
        [error] = (await told(events))["errors"]
        assert error.get("extensions", {}).get("code") == code
        assert await events.next() == {"event": "complete", "data": ""}
        assert await events.next() == {}


async def test_a_subscription_ends_with_its_token(address: str) -> None:
    query = 'subscription { changes(series: "secret") { cursor } }'
    async with subscribed(address, query, soon_expired()) as events:
        cursor = (await told(events))["data"]["changes"]["cursor"]
        [error] = (await told(events))["errors"]
        assert error["extensions"] == {"code": "UNAUTHENTICATED", "cursor": cursor}
        assert (await events.next())["event"] == "complete"


async def test_a_query_is_answered_once(address: str) -> None:
    async with subscribed(address, "{ __typename }") as events:
        assert await told(events) == {"data": {"__typename": "Query"}}
        assert (await events.next())["event"] == "complete"


async def test_a_stop_ends_without_complete_so_that_clients_come_back(address: str, points: Points, feed: Feed) -> None:
    async with subscribed(address) as events:
        await told(events)
        feed.stop()
        cursor = (await told(events))["data"]["changes"]["cursor"]
        assert await events.next() == {}
    assert cursor


async def test_a_subscription_is_not_answered_as_json(address: str) -> None:
    asked, headers = {"query": "subscription { changes { cursor } }"}, {"Accept": "application/json"}
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.post("/graphql", headers=headers, json=asked)
        assert EVENT_STREAM in answer.json()["errors"][0]["message"]
        assert (await client.get("/graphql", headers=headers, params=asked)).status_code == 405


NONE: list[tuple[str, bytes, int]] = [
    ("application/json", b"{", 400),
    ("application/json", b"", 400),
    ("application/json", b"null", 400),
    ("application/json", b"[]", 400),
    ("application/json", b"{}", 400),
    ("application/json", b'{"query": 7}', 400),
    ("application/json", b'{"query": "{ a }", "variables": []}', 400),
    ("application/json", b'{"query": "{ a }", "operationName": 1}', 400),
    ("application/json", b"[" * 100_000, 400),
    ("application/json", b'{"query": "' + b" " * (1 << 20) + b'"}', 413),
    ("text/plain", b'{"query": "{ __typename }"}', 415),
    ("", b"[]", 415),
]
"""What is no request of GraphQL's, and the status that refuses it."""


async def test_no_body_that_is_no_graphql_begins_a_stream(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        for kind, body, status in NONE:
            headers = {"Accept": EVENT_STREAM} | ({"Content-Type": kind} if kind else {})
            answer = await client.post("/graphql", headers=headers, content=body)
            assert answer.status_code == status, body[:50]
            assert not answer.headers["content-type"].startswith(EVENT_STREAM)


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        (f"{EVENT_STREAM}, application/json;q=0.5", True),
        (f"application/json, {EVENT_STREAM};q=0.5", False),
        (f"{EVENT_STREAM};q=0, */*", False),
        ("*/*", False),
    ],
)
async def test_a_query_is_answered_as_its_client_likes_it_best(address: str, accept: str, *, is_stream: bool) -> None:
    async with httpx.AsyncClient(base_url=address, headers={"Accept": accept}) as client:
        answer = await client.post("/graphql", json={"query": "{ __typename }"})
    assert answer.headers["content-type"].startswith(EVENT_STREAM) == is_stream
    assert b'{"data":{"__typename":"Query"}}' in answer.content


@pytest.mark.parametrize(("path", "field"), [("/changes", "changes"), ("/changes/discards", "discardChanges")])
async def test_an_event_of_changes_is_what_graphql_gives_field_by_field(
    address: str, points: Points, path: str, field: str
) -> None:
    async with listening(address, path, ADMIN) as plain:
        await points.add([point(tags=("calm",)), point(NOON, Reason.TOO_OLD, Reason.SYSTEM, raw=b"\xff{}")])
        while not (changes := orjson.loads((await plain.next())["data"]))["events"]:
            pass
    query = f"subscription($start: DateTime) {{ {field}(start: $start) {selection(present(changes))} }}"
    async with subscribed(address, query, ADMIN, start=NOON.isoformat()) as events:
        told_of = (await told(events))["data"][field]
    assert told_of | {"cursor": ""} == present(changes) | {"cursor": ""}


def present(value: Any) -> Any:
    """Without what is null."""
    if isinstance(value, list):
        return [present(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value)
        return {name: present(each) for name, each in inner.items() if each is not None}
    return value


def selection(value: Any) -> str:
    """Of GraphQL, for all that there is of one change."""
    if isinstance(value, list):
        return selection(value[0]) if value else ""
    if not isinstance(value, dict):
        return ""
    inner = cast("dict[str, Any]", value)
    return f"{{ {' '.join(f'{name} {selection(each)}' for name, each in inner.items())} }}"
