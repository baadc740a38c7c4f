"""Subscriptions over WebSocket: what the protocol wants, and what of it was known to go wrong."""

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from datacosmos.api.feed.feed import Feed
from datacosmos.api.graphql.http import PATH
from datacosmos.domain.points import Reason
from datacosmos.programs import server
from datacosmos.programs.server import MESSAGE, serving
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, USER, app_of, point
from tests.engine.api.feed.talking import CHANGES, talking

DEEP = "[" * 100_000 + "]" * 100_000
SUBSCRIBE = {"id": "1", "type": "subscribe"}
DISCARDS = "subscription { discardChanges { cursor events { kind discard { id reason raw } } } }"


async def test_a_point_is_told_as_it_is_stored(address: str, points: Points) -> None:
    async with talking(address) as talk:
        await talk.begin()
        await talk.subscribe()
        await talk.hear()
        await points.add([stored := point()])
        [change] = await talk.changes(1)
    assert change == {
        "kind": "ACCEPTED",
        "point": {"id": stored.id, "time": "2024-03-28T12:00:00Z", "value": 0.5},
    }


async def test_a_cursor_of_one_transport_goes_on_over_another(address: str, points: Points) -> None:
    async with talking(address) as talk:
        await talk.begin()
        await talk.subscribe()
        await talk.hear()
        await points.add([point()])
        await talk.changes(1)
    await points.add([later := point(NOON.replace(hour=13))])
    async with talking(address) as again:
        await again.begin()
        await again.subscribe(after=talk.cursor)
        [change] = await again.changes(1)
    assert change["point"]["id"] == later.id


FRAMES: list[tuple[Any, int]] = [
    ("[]", 4400),
    ("7", 4400),
    ("null", 4400),
    ('"ping"', 4400),
    ("{", 4400),
    ("", 4400),
    (DEEP, 4400),
    (b"\x00\xff", 4400),
    ({}, 4400),
    ({"type": None}, 4400),
    ({"type": ["ping"]}, 4400),
    ({"type": "start"}, 4400),
    ({"type": "ping", "payload": 7}, 4400),
    (SUBSCRIBE, 4400),
    (SUBSCRIBE | {"payload": []}, 4400),
    (SUBSCRIBE | {"payload": {}}, 4400),
    (SUBSCRIBE | {"payload": {"query": 7}}, 4400),
    (SUBSCRIBE | {"payload": {"query": CHANGES, "variables": [1]}}, 4400),
    (SUBSCRIBE | {"payload": {"query": CHANGES, "operationName": 1}}, 4400),
    (SUBSCRIBE | {"id": 1, "payload": {"query": CHANGES}}, 4400),
    (SUBSCRIBE | {"id": [], "payload": {"query": CHANGES}}, 4400),
    (SUBSCRIBE | {"id": "", "payload": {"query": CHANGES}}, 4400),
    ({"type": "complete"}, 4400),
    ({"type": "complete", "id": {}}, 4400),
    ({"type": "connection_init"}, 4429),
    ("x" * (MESSAGE + 1), 1009),
]
"""What is said after the initialisation, and the code with which it closes."""
EARLY: list[tuple[Any, int]] = [
    (SUBSCRIBE | {"payload": {"query": CHANGES}}, 4401),
    ({"type": "connection_init", "payload": 7}, 4400),
    ({"type": "connection_init", "payload": []}, 4400),
]
"""What is said first."""


async def test_a_frame_that_is_none_of_the_protocols_closes_with_its_code(address: str) -> None:
    for frame, code in FRAMES:
        async with talking(address) as talk:
            await talk.begin()
            await talk.say(frame)
            assert await talk.closed() == code, frame


async def test_nothing_can_be_asked_before_the_initialisation(address: str) -> None:
    for frame, code in EARLY:
        async with talking(address) as talk:
            await talk.say(frame)
            assert await talk.closed() == code, frame


async def test_an_initialisation_that_does_not_come_closes(settings: Settings, stores: Stores) -> None:
    soon = Settings.model_validate(settings.model_dump() | {"head_timeout": "100ms"})
    app = app_of(soon, stores)
    async with serving(app, soon, host="127.0.0.1", port=0, websockets=(PATH,)) as address, talking(address) as talk:
        assert await talk.closed() == 4408


@pytest.mark.parametrize("protocol", ["graphql-ws", "soap", None])
async def test_another_protocol_is_refused_by_a_code_that_a_browser_shows(address: str, protocol: str | None) -> None:
    async with talking(address, protocol=protocol) as talk:
        assert await talk.closed() == 4406


async def test_pings_are_answered(address: str) -> None:
    async with talking(address) as talk:
        await talk.say({"type": "ping"})
        assert (await talk.hear())["type"] == "pong"


async def test_what_the_protocol_lets_pass_changes_nothing(address: str) -> None:
    async with talking(address) as talk:
        await talk.begin()
        for message in ({"type": "pong"}, {"type": "pong", "payload": {"a": 1}}, {"type": "complete", "id": "none"}):
            await talk.say(message)
        await talk.subscribe()
        assert (await talk.hear())["type"] == "next"


async def test_a_client_that_answers_no_ping_is_closed_and_one_that_does_stays(
    settings: Settings, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.PING == 20
    monkeypatch.setattr(server, "PING", 0.5)
    app = app_of(settings, stores)
    async with (
        serving(app, settings, host="127.0.0.1", port=0, websockets=(PATH,)) as address,
        talking(address) as talk,
    ):
        there = urlsplit(address)
        reader, writer = await asyncio.open_connection(there.hostname, there.port)
        head = f"GET {PATH} HTTP/1.1\r\nHost: {there.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(f"{head}{key}Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode())
        async with asyncio.timeout(10):
            silent = await reader.read()
        writer.close()
        assert b"\x89" in silent  # a ping
        assert (1011).to_bytes(2, "big") in silent  # closed
        await talk.begin()


async def test_an_id_in_use_closes_and_one_that_is_done_is_free(address: str) -> None:
    async with talking(address) as talk:
        await talk.begin()
        await talk.subscribe("{ __typename }")
        assert (await talk.hear())["payload"] == {"data": {"__typename": "Query"}}
        assert (await talk.hear()) == {"id": "1", "type": "complete"}
        await talk.subscribe()
        await talk.hear()
        await talk.subscribe()
        assert await talk.closed() == 4409


async def test_an_id_that_is_given_to_another_operation_at_once_is_that_ones(address: str, feed: Feed) -> None:
    async with talking(address) as talk:
        await talk.begin()
        await talk.subscribe()
        await talk.hear()
        await asyncio.gather(talk.say({"type": "complete", "id": "1"}), talk.subscribe())
        await talk.hear()
        await talk.say({"type": "complete", "id": "1"})
        async with asyncio.timeout(5):
            while feed.is_read:
                await asyncio.sleep(0.01)


REFUSED = [
    ('subscription { changes(after: "rubbish") { cursor } }', "INVALID_CURSOR"),
    ('subscription { changes(series: "secret") { cursor } }', "UNAUTHENTICATED"),
    (DISCARDS, "UNAUTHENTICATED"),
    ("subscription { changes { nothing } }", None),
    ("subscription {", None),
    ('subscription { changes(start: "soon") { cursor } }', None),
    ("subscription { " + " ".join(f"a{n}: changes {{ cursor }}" for n in range(16)) + " }", "QUERY_TOO_LARGE"),
    ("{ __schema { types" + " { fields { type" * 12 + " { name }" + " } }" * 12 + " } }", None),
    ("subscription { changes { ...a } } fragment a on Changes { " + "cursor " * 1001 + "}", None),
]


async def test_what_cannot_be_subscribed_to_is_told_by_an_error_of_its_id(address: str) -> None:
    async with talking(address) as talk:  # which goes on
        await talk.begin()
        for query, code in REFUSED:
            await talk.subscribe(query)
            message = await talk.hear()
            assert (message["id"], message["type"]) == ("1", "error"), query
            assert message["payload"][0]["message"]
            assert message["payload"][0].get("extensions", {}).get("code") == code, query


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_a_token_may_come_with_the_initialisation(address: str, points: Points, name: str) -> None:
    async with talking(address) as talk:
        await talk.begin({name: f"Bearer {ADMIN}"})
        await talk.subscribe(DISCARDS)
        await talk.hear()
        await points.add([odd := point(NOON, Reason.SYSTEM)])
        [change] = await talk.changes(1)
    assert change == {"kind": "DISCARDED", "discard": {"id": odd.id, "reason": "SYSTEM", "raw": "{}"}}


async def test_a_token_may_come_in_the_header(address: str) -> None:
    async with talking(address, Authorization=f"Bearer {USER}") as talk:
        await talk.begin()
        await talk.subscribe('subscription { changes(series: "secret") { cursor } }')
        assert (await talk.hear())["type"] == "next"
        await talk.subscribe(DISCARDS, "2")
        assert (await talk.hear())["payload"][0]["extensions"] == {"code": "FORBIDDEN", "cursor": None}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
)
async def test_a_page_of_another_site_opens_none(
    address: str, caplog: pytest.LogCaptureFixture, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with talking(address, **headers):
            pass
    assert refused.value.response.status_code == status
    assert not errors(caplog)


async def test_a_text_that_is_none_closes_without_an_error_in_the_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(address) as talk:
        await talk.connection.send(b"\xff", text=True)
        assert await talk.closed() == 1007
    assert not errors(caplog)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_page_of_ours_opens_one(address: str) -> None:
    async with talking(address, Origin=address) as talk:
        await talk.begin()


async def test_a_connection_has_so_many_operations(settings: Settings, stores: Stores) -> None:
    few = Settings.model_validate(settings.model_dump() | {"subscriptions_per_connection": 2})
    app = app_of(few, stores)
    async with serving(app, few, host="127.0.0.1", port=0, websockets=(PATH,)) as address, talking(address) as talk:
        await talk.begin()
        for name in "12":
            await talk.subscribe(name=name)
            await talk.hear()
        await talk.subscribe(name="3")
        message = await talk.hear()
        assert (message["id"], message["type"]) == ("3", "error")
        assert message["payload"][0]["extensions"]["code"] == "UNAVAILABLE"
        await talk.say({"type": "complete", "id": "1"})
        await talk.subscribe(name="3")
        assert (await talk.hear())["type"] == "next"


async def test_a_process_has_so_many_subscriptions(settings: Settings, stores: Stores) -> None:
    one = Settings.model_validate(settings.model_dump() | {"subscriptions": 1})
    app = app_of(one, stores)
    async with serving(app, one, host="127.0.0.1", port=0, websockets=(PATH,)) as address, talking(address) as talk:
        await talk.begin()
        await talk.subscribe()
        await talk.hear()
        await talk.subscribe(name="2")
        assert (await talk.hear())["payload"][0]["extensions"]["code"] == "UNAVAILABLE"


async def test_a_stop_gives_the_last_cursor_and_closes_with_1012(address: str, feed: Feed) -> None:
    async with talking(address) as talk:
        await talk.begin()
        for name in "12":
            await talk.subscribe(name=name)
            await talk.hear()
        feed.stop()
        last = [await talk.hear(), await talk.hear()]
        assert {message["id"] for message in last} == {"1", "2"}
        assert all(message["payload"]["data"]["changes"]["cursor"] for message in last)
        assert await talk.closed() == 1012


async def test_whoever_leaves_is_no_longer_read_for(address: str, feed: Feed) -> None:
    async with talking(address) as talk:
        await talk.begin()
        await talk.subscribe()
        await talk.hear()
        assert feed.is_read
    async with asyncio.timeout(5):
        while feed.is_read:  # once the server has seen it
            await asyncio.sleep(0.01)


async def test_a_long_answer_is_asked_for_elsewhere(address: str, points: Points) -> None:
    await points.add([point(NOON.replace(microsecond=1000 * n)) for n in range(900)])
    async with talking(address) as talk:
        await talk.begin()
        await talk.subscribe("{ points { id series time value receivedAt } }")
        assert (await talk.hear())["payload"][0]["extensions"]["code"] == "ANSWER_TOO_LARGE"
