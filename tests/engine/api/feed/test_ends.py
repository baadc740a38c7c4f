"""How a stream ends, and what each ending tells: the code, and the last cursor, from which all goes on."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from bson import Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from datacosmos.api.feed import feed as feeds
from datacosmos.api.feed import reader, ring
from datacosmos.api.feed.cursors import Cursors
from datacosmos.api.feed.feed import Feed
from datacosmos.api.feed.frames import Frame
from datacosmos.api.graphql.http import PATH
from datacosmos.auth.issuers import Role, SharedSecret
from datacosmos.domain.changes import Accepted, Discarded, Place, Topic
from datacosmos.domain.points import Reason
from datacosmos.errors import CursorExpired, Lagging, StoreUnavailable
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.changes.marks import mark_before
from datacosmos.store.changes.streams import EVENT
from datacosmos.store.mongo.connection import Database, connect
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import NOON, SECOND, SECRET, app_of, client_without_store, point
from tests.engine.api.feed.listening import kept_bytes, listening
from tests.engine.api.feed.talking import talking
from tests.lines import OWN

SERIES = Accepted("datacosmos")


def soon_expired() -> str:
    now = datetime.now(UTC)
    return SharedSecret(SECRET).issue(role=Role.USER, subject="ada", lifetime=timedelta(seconds=3), now=now)


async def test_a_stream_ends_with_its_token(address: str) -> None:
    async with listening(address, who=soon_expired(), series="secret") as events:
        error = await events.error()
        assert error["extensions"] == {"code": "UNAUTHENTICATED", "cursor": events.last_id}
        assert events.last_id


async def test_a_subscription_ends_with_its_token(address: str) -> None:
    async with talking(address) as talk:
        await talk.begin({"Authorization": f"Bearer {soon_expired()}"})
        await talk.subscribe('subscription { changes(series: "secret") { cursor } }')
        cursor = (await talk.hear())["payload"]["data"]["changes"]["cursor"]
        ended = await talk.hear()
        assert ended["type"] == "error"
        assert ended["payload"][0]["extensions"] == {"code": "UNAUTHENTICATED", "cursor": cursor}


async def test_whoever_needs_no_token_stays_beyond_it(address: str, points: Points) -> None:
    async with listening(address, who=soon_expired()) as events:
        await events.next()
        await asyncio.sleep(3.1)  # there is nothing to await: nothing is to happen
        await points.add([stored := point()])
        assert await events.ids(1) == [stored.id]


async def test_a_cursor_of_another_database_has_expired(address: str) -> None:
    """As of one from before a backup was brought back: its future would be silent here."""
    ahead = Cursors(SECRET).write(SERIES, Place("82FFFFFFF000000001"))
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.get("/changes", params={"after": ahead})
    assert answer.status_code == 410
    assert "`start`" in answer.json()["detail"]


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Once it is set, MongoDB's oplog no longer reaches what streams ask for."""
    lost = asyncio.Event()
    command = AsyncDatabase[Any].command

    async def reaching(self: AsyncDatabase[Any], asked: dict[str, Any], *args: Any, **options: Any) -> Any:
        if lost.is_set() and ("getMore" in asked or "pipeline" in asked):
            raise OperationFailure("the resume point may no longer be in the oplog", 286)
        return await command(self, asked, *args, **options)

    monkeypatch.setattr(AsyncDatabase, "command", reaching)
    return lost


async def test_what_the_oplog_no_longer_reaches_has_expired(
    address: str, points: Points, losing: asyncio.Event
) -> None:
    async with listening(address) as events:
        first = (await events.next())["id"]
        await points.add([point()])
        await events.changes(1)
        losing.set()
        error = await events.error()
        assert error["extensions"] == {"code": "CURSOR_EXPIRED", "cursor": events.last_id}
    async with httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/changes", params={"after": first})).status_code == 410


async def test_whoever_was_not_told_that_the_stream_was_lost_misses_nothing(
    feed: Feed, points: Points, losing: asyncio.Event
) -> None:
    async with aclosing(feed.follow(SERIES, None)) as slow, aclosing(feed.follow(SERIES, None)) as quick:
        await anext(slow)
        await anext(quick)
        losing.set()
        with pytest.raises(CursorExpired):
            await anext(quick)
        losing.clear()
        await points.add([first := point()])
        async with aclosing(feed.follow(SERIES, None)) as new:  # for whom another stream is opened
            await anext(new)
            await points.add([second := point(NOON + SECOND)])
            assert await ids(new, 1) == [second.id]
            assert await ids(slow, 2) == [first.id, second.id]


async def test_points_that_are_dropped_end_every_stream_and_each_cursor_from_before(
    address: str, points: Points, database: Database
) -> None:
    async with listening(address) as events:
        before = (await events.next())["id"]
        await points.add([point()])
        await events.changes(1)
        await database["points"].drop()
        error = await events.error()
        assert error["extensions"] == {"code": "CURSOR_EXPIRED", "cursor": events.last_id}
    for cursor in (before, events.last_id):
        async with listening(address, after=cursor) as events:
            assert (await events.error())["extensions"]["code"] == "CURSOR_EXPIRED"
    async with httpx.AsyncClient(base_url=address) as client:  # until they are brought back
        assert (await client.get("/changes", params={"start": NOON.isoformat()})).status_code == 503
    async with listening(address) as events:
        await points.add([brought_back := point()])
        assert await events.ids(1) == [brought_back.id]
    async with listening(address, start=NOON.isoformat()) as events:
        assert await events.ids(1) == [brought_back.id]


async def test_a_head_alone_holds_nothing(address: str, feed: Feed) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.head("/changes")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert not feed.is_read
        assert (await client.get("/changes", headers={"Accept": "text/html"})).status_code == 406


async def test_heartbeats_have_cursors_that_count(
    address: str, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "HEARTBEAT", 0.05)
    async with listening(address) as events:
        await events.next()
        await points.add([point(series="another")])
        beats = [await events.next() for _ in range(3)]
    assert all('"events":[]' in beat["data"] for beat in beats)
    await points.add([stored := point()])
    async with listening(address, after=beats[-1]["id"]) as events:
        assert await events.ids(1) == [stored.id]


async def test_a_heartbeat_comes_every_15_seconds(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    real, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + passed)
    async with aclosing(feed.follow(SERIES, None)) as frames:
        await anext(frames)
        beat = asyncio.create_task(anext(frames))
        await asyncio.sleep(0.05)
        passed = 14.5
        await asyncio.sleep(0.05)
        assert not beat.done()
        passed = 15.0
        assert not (await beat).changes


async def test_many_who_listen_to_many_series_share_one_stream_of_mongodb(
    feed: Feed, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, opened, closed = AsyncDatabase[Any].command, 0, 0

    async def counted(self: AsyncDatabase[Any], asked: dict[str, Any], *args: Any, **options: Any) -> Any:
        nonlocal opened, closed
        opened += "pipeline" in asked
        closed += "killSessions" in asked
        return await command(self, asked, *args, **options)

    monkeypatch.setattr(AsyncDatabase, "command", counted)
    async with AsyncExitStack() as all_of_them:
        following = [
            await all_of_them.enter_async_context(aclosing(feed.follow(Accepted(f"series {n % 5}"), None)))
            for n in range(50)
        ]
        await asyncio.gather(*map(anext, following))
        assert opened - closed == 1
        await points.add(stored := [point(series=f"series {n}") for n in range(5)])
        got = await asyncio.gather(*(ids(frames, 1) for frames in following))
        assert got == [[stored[n % 5].id] for n in range(50)]
        assert opened - closed == 1


async def test_whoever_falls_out_of_the_ring_goes_on_with_a_stream_of_their_own(
    feed: Feed, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MOST_BATCHES", 2)
    async with aclosing(feed.follow(SERIES, None)) as slow, aclosing(feed.follow(SERIES, None)) as quick:
        await anext(slow)
        stored = await one_by_one(points, quick)
        assert await ids(slow, len(stored)) == stored


LONG = {"raw": (Discarded(), (Reason.MALFORMED,), {"raw": b"x" * 60_000}), "tags": (SERIES, (), {"tags": ("x",) * 900})}


@pytest.mark.parametrize(("topic", "reasons", "long"), LONG.values(), ids=LONG)
async def test_what_is_kept_for_all_is_bounded_in_bytes(
    feed: Feed, points: Points, monkeypatch: pytest.MonkeyPatch, topic: Topic, reasons: Sequence[Reason], long: Any
) -> None:
    monkeypatch.setattr(ring, "MOST_BYTES", 100_000)
    async with aclosing(feed.follow(topic, None)) as slow, aclosing(feed.follow(topic, None)) as quick:
        await anext(slow)
        await anext(quick)
        stored = [point(NOON + n * SECOND, *reasons, **long) for n in range(5)]
        for each in stored:
            await points.add([each])
            assert await ids(quick, 1) == [each.id]
        assert 50_000 < kept_bytes() <= 100_000
        assert await ids(slow, 5) == [each.id for each in stored]


async def test_whoever_lags_where_there_is_no_more_room_for_that_is_told(
    settings: Settings, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MOST_BATCHES", 2)
    monkeypatch.setattr(feeds, "OWN_STREAMS", 1)
    monkeypatch.setattr(feeds, "WAITING", 0)
    feed = Feed(settings, stores.changes, SECRET)
    async with (
        aclosing(feed.follow(SERIES, None)) as slow,
        aclosing(feed.follow(SERIES, None)) as other,
        aclosing(feed.follow(SERIES, None)) as quick,
    ):
        for each in (slow, other):
            await anext(each)
        await one_by_one(stores.points, quick)
        await anext(slow)  # which has a stream of its own now
        with pytest.raises(Lagging):
            await anext(other)


async def test_whoever_does_not_come_nearer_in_time_is_told(
    feed: Feed, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MOST_BATCHES", 2)
    monkeypatch.setattr(reader, "CATCH_UP", -1)
    monkeypatch.setattr(reader, "seconds_between", Mock(return_value=5))
    async with aclosing(feed.follow(SERIES, None)) as slow, aclosing(feed.follow(SERIES, None)) as quick:
        await anext(slow)
        await one_by_one(points, quick)
        with pytest.raises(Lagging):
            await ids(slow, 20)


async def test_mongodb_is_asked_for_what_somebody_listens_to_and_anew_for_whoever_joins(
    feed: Feed, points: Points
) -> None:
    one, other = Accepted("one"), Accepted("other")
    async with aclosing(feed.follow(one, None)) as first:
        begun = await anext(first)
        await points.add([early := point(series="other"), point(series="nobody's")])
        await points.add([mine := point(series="one")])
        assert await ids(first, 1) == [mine.id]
        assert kept_bytes() == EVENT
        async with aclosing(feed.follow(other, begun.place)) as second, aclosing(feed.follow(other, None)) as third:
            await anext(second)
            await anext(third)
            await points.add([late := point(NOON + SECOND, series="other"), also := point(NOON, series="one")])
            assert await ids(second, 2) == [early.id, late.id]
            assert await ids(third, 1) == [late.id]
        assert await ids(first, 1) == [also.id]


async def test_mongodb_is_no_longer_asked_for_what_the_last_listener_has_left(feed: Feed, points: Points) -> None:
    one, other = Accepted("one"), Accepted("other")
    async with aclosing(feed.follow(one, None)) as stays:
        await anext(stays)
        async with aclosing(feed.follow(other, None)) as leaves:
            await anext(leaves)
        kept = list[float]()
        for n in range(3):
            await points.add([point(NOON + n * SECOND, series="other")])
            await points.add([mine := point(NOON + n * SECOND, series="one")])
            assert await ids(stays, 1) == [mine.id]
            kept.append(kept_bytes())
        assert [kept[1] - kept[0], kept[2] - kept[1]] == [EVENT, EVENT]


async def test_whoever_comes_back_while_a_stream_is_opened_for_another_misses_nothing(
    feed: Feed, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, opening, may_open = AsyncDatabase[Any].command, asyncio.Event(), asyncio.Event()

    async def held(self: AsyncDatabase[Any], asked: dict[str, Any], *args: Any, **options: Any) -> Any:
        if "pipeline" in asked:
            opening.set()
            await may_open.wait()
        return await command(self, asked, *args, **options)

    one, other, third = Accepted("one"), Accepted("other"), Accepted("third")
    async with aclosing(feed.follow(other, None)) as stays, aclosing(feed.follow(third, None)) as joins:
        await anext(stays)
        async with aclosing(feed.follow(one, None)) as leaves:
            await anext(leaves)
        monkeypatch.setattr(AsyncDatabase, "command", held)
        joining = asyncio.create_task(anext(joins))
        await opening.wait()
        async with aclosing(feed.follow(one, None)) as back:
            returning = asyncio.create_task(anext(back))
            await asyncio.sleep(0)
            may_open.set()
            await asyncio.gather(joining, returning)
            await points.add([stored := point(series="one")])
            assert await ids(back, 1) == [stored.id]


async def test_a_name_that_no_series_can_have_costs_nobody_else_theirs(feed: Feed, points: Points) -> None:
    async with aclosing(feed.follow(SERIES, None)) as frames:
        await anext(frames)
        async with aclosing(feed.follow(Accepted("x" * (17 << 20)), None)) as other:
            assert not (await anext(other)).changes
            await points.add([stored := point()])
            assert await ids(frames, 1) == [stored.id]


async def test_whoever_begins_while_the_service_stops_gets_no_cursor_that_would_begin_later(
    address: str, feed: Feed
) -> None:
    async with httpx.AsyncClient(base_url=address) as client, talking(address) as talk:
        await talk.begin()
        feed.stop()
        refused = await client.get("/changes")
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        await talk.subscribe()
        assert await talk.closed() == 1012
    async with listening(address, start=NOON.isoformat()) as events:
        assert (await events.next())["id"]


async def test_pauses_between_tries_grow_whatever_heartbeats_lie_between(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, place = list[int](), Place(mark_before(Timestamp(1_795_974_308, 1)))

    async def pause(so_many: int) -> None:
        failures.append(so_many)
        await asyncio.sleep(0.05)

    monkeypatch.setattr(reader, "HEARTBEAT", 0.01)
    monkeypatch.setattr(reader, "BACKOFF", Mock(pause=pause))
    unavailable = Mock(opened=Mock(side_effect=StoreUnavailable))
    async with aclosing(Feed(settings, unavailable, SECRET).follow(SERIES, place)) as frames:
        while len(failures) < 4:
            assert (await anext(frames)).place == place
    assert failures == [0, 1, 2, 3]


async def test_whoever_joins_while_mongodb_is_unavailable_ends_nobody_elses_stream(
    feed: Feed, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, away = AsyncDatabase[Any].command, asyncio.Event()

    async def failing(self: AsyncDatabase[Any], asked: dict[str, Any], *args: Any, **options: Any) -> Any:
        if away.is_set() and "pipeline" in asked:
            raise ServerSelectionTimeoutError
        return await command(self, asked, *args, **options)

    monkeypatch.setattr(AsyncDatabase, "command", failing)
    monkeypatch.setattr(reader, "HEARTBEAT", 0.05)
    one, other = Accepted("one"), Accepted("other")
    async with aclosing(feed.follow(one, None)) as first, aclosing(feed.follow(other, None)) as new:
        begun = (await anext(first)).place
        away.set()
        with pytest.raises(StoreUnavailable):
            await anext(new)
        async with aclosing(feed.follow(other, begun)) as back:
            assert (await anext(back)).place == begun
            await points.add([mine := point(series="one"), theirs := point(series="other")])
            assert not (await anext(first)).changes
            away.clear()
            assert await ids(first, 1) == [mine.id]
            assert await ids(back, 1) == [theirs.id]


async def one_by_one(points: Points, quick: AsyncGenerator[Frame]) -> list[str]:
    """More batches than a ring has, each read by somebody before the next."""
    stored = [point(NOON + n * SECOND) for n in range(8)]
    await anext(quick)
    for each in stored:
        await points.add([each])
        assert await ids(quick, 1) == [each.id]
    return [each.id for each in stored]


async def ids(frames: AsyncGenerator[Frame], count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [change.point.id for change in (await anext(frames)).changes]
    return found


async def test_a_later_judgement_is_told_of(address: str, points: Points, database: Database) -> None:
    await points.add([stored := point()])
    async with listening(address) as events:
        await events.next()
        for status, reasons in (("discarded", ["too_old"]), ("accepted", [])):
            await database["points"].update_one({"_id": stored.id}, {"$set": {"status": status, "reasons": reasons}})
        told = await events.changes(2)
        assert [change["kind"] for change in told] == ["WITHDRAWN", "REINSTATED"]
        assert {change["point"]["id"] for change in told} == {stored.id}


async def test_a_process_has_so_many_subscriptions(settings: Settings, stores: Stores) -> None:
    assert (settings.subscriptions, settings.subscriptions_per_connection) == (1000, 100)
    one = Settings.model_validate(settings.model_dump() | {"subscriptions": 1})
    app = app_of(one, stores)
    async with (
        serving(app, one, host="127.0.0.1", port=0, websockets=(PATH,)) as address,
        httpx.AsyncClient(base_url=address) as client,
        talking(address) as talk,
    ):
        async with listening(address) as events:
            await talk.begin()
            await talk.subscribe()  # of whatever way they come
            assert (await talk.hear())["payload"][0]["extensions"]["code"] == "UNAVAILABLE"
            cursor = (await events.next())["id"]
            refused = await client.get("/changes")
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            async with listening(address, last_id=cursor) as again:  # a browser would not come back after a 503
                assert (await again.error())["extensions"] == {"code": "UNAVAILABLE", "cursor": cursor}
        async with asyncio.timeout(5):  # in which the server sees that its client is gone
            while not await begins(client):
                pass


async def begins(client: httpx.AsyncClient) -> bool:
    async with client.stream("GET", "/changes") as answer:
        return answer.status_code == 200


async def test_streams_and_websockets_count_as_connections(settings: Settings, stores: Stores) -> None:
    two = Settings.model_validate(settings.model_dump() | {"max_connections": 2})
    app = app_of(two, stores)
    async with serving(app, two, host="127.0.0.1", port=0, websockets=(PATH,)) as address:
        async with listening(address), talking(address), httpx.AsyncClient(base_url=address) as client:
            assert (await client.get("/health/live")).status_code == 503
        async with talking(address) as talk:
            await talk.begin()


@asynccontextmanager
async def subscribing_by_sse(address: str) -> AsyncGenerator[None]:
    """GraphQL over server-sent events, which have begun."""
    headers, query = {"Accept": "text/event-stream"}, {"query": "subscription { changes { cursor } }"}
    async with (
        httpx.AsyncClient(base_url=address, trust_env=False) as client,
        client.stream("POST", PATH, json=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield


@pytest.mark.skipif(OWN is None, reason="this machine has no address but loopback")
@pytest.mark.parametrize("connected", [listening, subscribing_by_sse, talking])
async def test_streams_and_websockets_count_for_their_address_until_their_clients_leave(
    settings: Settings, stores: Stores, connected: Callable[[str], AbstractAsyncContextManager[object]]
) -> None:
    changes = {"max_connections_per_address": 1, "allowed_hosts": [OWN]}
    one = Settings.model_validate(settings.model_dump() | changes)
    app = app_of(one, stores)
    async with (
        serving(app, one, host=str(OWN), port=0, websockets=(PATH,)) as address,
        httpx.AsyncClient(base_url=address, trust_env=False) as client,
    ):
        async with connected(address):
            refused = await client.get("/health/live")
            assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            assert "from your address" in refused.text
        async with asyncio.timeout(5):  # in which the server sees that its client is gone
            while (await client.get("/health/live")).status_code == 503:
                pass


async def test_a_store_that_is_unavailable_is_a_503_for_whoever_begins(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        assert (await client.get("/changes")).status_code == 503
        assert (await client.get("/changes", params={"start": NOON.isoformat()})).status_code == 503


async def test_whoever_comes_back_waits_for_a_store_that_is_unavailable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "HEARTBEAT", 0.05)
    cursor = Cursors(SECRET).write(SERIES, Place(mark_before(Timestamp(1_795_974_308, 1))))
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true"
    async with connect(nowhere, "unavailable", timedelta(milliseconds=100)) as database:
        feed = Feed(settings, Stores.of(database).changes, SECRET)
        app = app_of(settings, Stores.of(database), feed=feed)
        async with (
            serving(app, settings, host="127.0.0.1", port=0, websockets=(PATH,)) as address,
            listening(address, last_id=cursor) as events,
            talking(address) as talk,
        ):
            await talk.begin()
            await talk.subscribe(after=cursor)
            for _ in range(2):
                assert (await events.next())["data"] == f'{{"cursor":"{cursor}","events":[]}}'
                assert (await talk.hear())["payload"]["data"]["changes"] == {"cursor": cursor, "events": []}
            feed.stop()
            assert await talk.closed() == 1012
