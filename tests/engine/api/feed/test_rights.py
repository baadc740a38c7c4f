"""Who is told of which change, over which way, and what cursors and errors give away."""

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from datacosmos.api.feed.cursors import Cursors
from datacosmos.api.graphql.http import PATH
from datacosmos.domain.changes import Accepted, Place
from datacosmos.domain.points import Reason
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, INVALID, NOON, SECRET, USER, app_of, bearer, point
from tests.engine.api.feed.listening import Events, id_of, listening
from tests.engine.api.feed.talking import talking

KINDS = {
    "ACCEPTED": ("/changes", [None, USER, ADMIN], [401, 200, 200]),
    "WITHDRAWN": ("/changes", [None, USER, ADMIN], [401, 200, 200]),
    "REINSTATED": ("/changes", [None, USER, ADMIN], [401, 200, 200]),
    "DISCARDED": ("/changes/discards", [None, USER, ADMIN], [401, 403, 200]),
}
"""Of a series that is not public: where each kind is told of, and what anonymous callers, users and administrators
get there."""


async def happen(kind: str, points: Points, database: Database) -> str:
    """The id of a point of the series `secret` that this becomes of."""
    reasons = [Reason.SYSTEM] if kind == "DISCARDED" else []
    await points.add([stored := point(NOON, *reasons, series="secret")])
    for status in {"WITHDRAWN": ["discarded"], "REINSTATED": ["discarded", "accepted"]}.get(kind, []):
        await database["points"].update_one({"_id": stored.id}, {"$set": {"status": status}})
    return stored.id


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_is_told_to_whoever_may_see_its_point_and_to_nobody_else(
    address: str, points: Points, database: Database, kind: str
) -> None:
    path, callers, statuses = KINDS[kind]
    series = {"series": "secret"} if path == "/changes" else {}
    async with (
        httpx.AsyncClient(base_url=address) as client,
        listening(address) as public,
        listening(address, path, ADMIN, **series) as administrator,
    ):
        for caller, status in zip(callers, statuses, strict=True):
            async with client.stream("GET", path, params=series, headers=bearer(caller)) as answer:
                assert answer.status_code == status
        changed = await happen(kind, points, database)
        assert await first_of(kind, administrator) == changed
        await points.add([ours := point()])
        assert await public.ids(1) == [ours.id]


async def first_of(kind: str, events: Events) -> str:
    while True:
        for change in await events.changes(1):  # and whatever comes with it
            if change["kind"] == kind:
                return id_of(change)


async def test_a_cursor_of_another_series_is_refused_in_the_same_words_as_rubbish(address: str) -> None:
    """Also one that has expired: whoever may not see the series learns nothing of it."""
    secret = [Cursors(SECRET).write(Accepted("secret"), Place(mark)) for mark in ("8200000001", "82FFFFFFF000000001")]
    async with httpx.AsyncClient(base_url=address) as client:
        refused = [await client.get("/changes", params={"after": cursor}) for cursor in ("rubbish", *secret)]
    assert {answer.status_code for answer in refused} == {400}
    assert len({answer.json()["detail"] for answer in refused}) == 1


async def test_no_token_is_taken_from_an_address(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        for name in ("token", "authorization", "access_token"):
            answer = await client.get("/changes", params={"series": "secret", name: USER})
            assert answer.status_code == 400
            assert USER not in answer.text
    async with talking(address, path=f"/graphql?authorization=Bearer%20{USER}") as talk:
        await talk.begin()
        await talk.subscribe('subscription { changes(series: "secret") { cursor } }')
        assert (await talk.hear())["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("value", INVALID.values(), ids=INVALID)
async def test_a_token_that_is_none_opens_nothing_and_is_not_repeated(address: str, value: str) -> None:
    async with talking(address) as talk:
        await talk.begin({"Authorization": f"Bearer {value}"})
        await talk.subscribe('subscription { changes(series: "secret") { cursor } }')
        [error] = (await talk.hear())["payload"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert value not in error["message"]


async def test_pages_of_the_named_origins_follow_and_no_others(settings: Settings, stores: Stores) -> None:
    named = Settings.model_validate(settings.model_dump() | {"cors_origins": ["https://ours.example"]})
    shown = "access-control-allow-origin"  # without it, a browser gives a page of another site nothing
    async with (
        serving(app_of(named, stores), named, host="127.0.0.1", port=0, websockets=(PATH,)) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        async with client.stream("GET", "/changes", headers={"Origin": "https://ours.example"}) as answer:
            assert answer.headers[shown] == "https://ours.example"
        async with client.stream("GET", "/changes", headers={"Origin": "https://theirs.example"}) as answer:
            assert shown not in answer.headers
        async with talking(address, Origin="https://ours.example") as talk:
            await talk.begin()
        with pytest.raises(InvalidStatus):
            async with talking(address, Origin="https://theirs.example"):
                pass
