"""GET /changes, as an EventSource uses it."""

import asyncio
import random
from datetime import timedelta

import httpx
import pytest

from datacosmos.api.feed.feed import Feed
from datacosmos.domain.points import Reason
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, SECOND, USER, app_of, bearer, point
from tests.engine.api.feed.listening import listening

DAY = timedelta(days=1)


async def test_a_point_is_told_as_it_is_stored(address: str, points: Points) -> None:
    async with listening(address) as events:
        beginning = await events.next()
        assert beginning["data"] == f'{{"cursor":"{beginning["id"]}","events":[]}}'
        await points.add([stored := point(tags=("calm",))])
        [change] = await events.changes(1)
    assert change == {
        "kind": "ACCEPTED",
        "point": {
            "id": stored.id,
            "series": "datacosmos",
            "time": "2024-03-28T12:00:00Z",
            "value": 0.5,
            "tags": ["calm"],
            "receivedAt": "2024-03-28T12:00:00Z",
        },
        "discard": None,
    }


async def test_points_come_in_the_order_of_their_commits_and_not_of_time(address: str, points: Points) -> None:
    batches = [[point(NOON + random.randrange(1000) * SECOND + n * DAY) for n in range(5)] for _ in range(8)]
    async with listening(address) as one, listening(address) as other:
        for batch in batches:
            await points.add(batch)
        stored = [each.id for batch in batches for each in batch]
        assert await one.ids(40) == stored
        assert await other.ids(40) == stored


async def test_only_accepted_points_of_the_series_are_told(address: str, points: Points) -> None:
    async with listening(address) as events:
        await points.add([point(series="another"), point(NOON, Reason.SYSTEM), mine := point(NOON + SECOND)])
        assert await events.ids(1) == [mine.id]


async def test_whoever_comes_back_goes_on_behind_their_cursor_exactly(address: str, points: Points) -> None:
    stored = [point(NOON - n * SECOND) for n in range(30)]
    got: list[str] = []
    last_id = ""
    async with listening(address) as events:
        last_id = (await events.next())["id"]
    for n in range(0, 30, 3):
        await points.add(stored[n : n + 3])
        async with listening(address, last_id=last_id) as events:
            while len(got) < n + 2:  # not always all of them
                got += await events.ids(1)
                last_id = events.last_id
    async with listening(address, after=last_id) as events:
        got += await events.ids(30 - len(got))
    assert got == [each.id for each in stored]


async def test_a_cursor_goes_on_at_any_other_process_with_the_secret(
    address: str, settings: Settings, stores: Stores
) -> None:
    async with listening(address) as events:
        await events.next()
        await stores.points.add([point()])
        await events.changes(1)
    await stores.points.add([missed := point(NOON + SECOND)])
    async with (
        serving(app_of(settings, stores), settings, host="127.0.0.1", port=0) as another,
        listening(another, last_id=events.last_id) as again,
    ):
        assert await again.ids(1) == [missed.id]


async def test_the_past_comes_first_by_time_and_then_what_is_stored(address: str, points: Points) -> None:
    old = [point(NOON + n * SECOND) for n in range(1200)]
    await points.add(random.sample(old, len(old)))
    async with listening(address, start="2024-03-28T12:00:10Z") as events:
        assert await events.ids(1190) == [each.id for each in old[10:]]
        await points.add([early := point(NOON - DAY)])  # start filters nothing of it
        assert await events.ids(1) == [early.id]


async def test_a_start_that_is_still_to_come_filters_nothing(address: str, points: Points) -> None:
    await points.add([point()])
    async with listening(address, start="2100-01-01T00:00:00Z") as events:
        await points.add([stored := point(NOON + SECOND)])
        assert await events.ids(1) == [stored.id]


async def test_last_event_id_wins_over_after_and_after_over_start(address: str, points: Points) -> None:
    async with listening(address) as events:
        first = (await events.next())["id"]
        await points.add([point()])
        await events.changes(1)
        second = events.last_id
        await points.add([later := point(NOON + SECOND)])
        await events.changes(1)
    async with listening(address, last_id=second, after=first, start="1970-01-01T00:00:00Z") as events:
        assert await events.ids(1) == [later.id]
    async with listening(address, after=second, start="1970-01-01T00:00:00Z") as events:
        assert await events.ids(1) == [later.id]


async def test_discards_are_told_to_administrators(address: str, points: Points) -> None:
    async with listening(address, "/changes/discards", ADMIN, reason="SYSTEM") as events:
        await events.next()
        await points.add([point(NOON, Reason.SUSPECT), point(), odd := point(NOON, Reason.SYSTEM, raw=b"\xff")])
        [change] = await events.changes(1)
    assert change["kind"] == "DISCARDED"
    assert change["point"] is None
    assert change["discard"]["id"] == odd.id
    assert change["discard"]["rawBase64"] == "/w=="


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        ("/changes?series=secret", None, 401),
        ("/changes/discards", None, 401),
        ("/changes/discards", USER, 403),
        ("/changes?after=rubbish", None, 400),
        ("/changes?start=yesterday", None, 400),
        ("/changes?serie=a", None, 400),
    ],
)
async def test_what_may_not_be_listened_to_is_answered_by_a_status(
    address: str, path: str, who: str | None, status: int
) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.get(path, headers=bearer(who))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_series_that_is_not_public_is_told_with_a_token(address: str, points: Points) -> None:
    async with listening(address, who=USER, series="secret") as events:
        await events.next()
        await points.add([mine := point(series="secret")])
        assert await events.ids(1) == [mine.id]


async def test_a_stop_ends_a_stream_with_its_last_cursor(address: str, points: Points, feed: Feed) -> None:
    async with listening(address) as events:
        await events.next()
        feed.stop()
        last = await events.next()
        assert last["id"]
        assert await events.next() == {}
    await asyncio.sleep(0)
