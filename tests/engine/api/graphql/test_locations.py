import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from datacosmos.auth.issuers import Role
from datacosmos.domain.columns import Table
from datacosmos.settings import Settings
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.connection import Database
from datacosmos.store.stores import Stores
from tests.asking import (
    ADMIN,
    USER,
    app_of,
    ask,
    client_of,
    client_without_store,
    code,
    put_location,
    token,
)

ALL = """
query($userId: String!, $start: DateTime, $end: DateTime) {
  locations(userId: $userId, start: $start, end: $end) { minute lat long accuracy speed count duplicates }
}
"""


@pytest.fixture(autouse=True)
async def stored(client: httpx.AsyncClient) -> None:
    """Two minutes of ada's, the second without a known speed, and one of bob's."""
    for timestamp in ("2017-01-01 13:05:12", "2017-01-01 13:05:12", "2017-01-01 13:05:59.999999"):
        await put_location(client, timestamp=timestamp)
    await put_location(client, timestamp="2017-01-01T18:06:00Z", speed=-1, lat=-33.5)
    await put_location(client, user_id="bob")


async def minutes_of(client: httpx.AsyncClient, who: str = USER, user: str = "ada", **window: str) -> list[str]:
    answer = await ask(client, ALL, who, userId=user, **window)
    return [minute["minute"] for minute in answer["data"]["locations"]]


async def test_a_users_minutes_are_answered_with_all_their_fields(client: httpx.AsyncClient) -> None:
    known: dict[str, Any] = {"long": -73.916, "accuracy": 11.3000021}
    assert await ask(client, ALL, USER, userId="ada") == {
        "data": {
            "locations": [
                known
                | {"minute": "2017-01-01T18:05:00Z", "lat": 40.701, "speed": 1.3999992, "count": 2, "duplicates": 1},
                known | {"minute": "2017-01-01T18:06:00Z", "lat": -33.5, "speed": None, "count": 1, "duplicates": 0},
            ]
        }
    }
    assert await minutes_of(client, ADMIN, "nobody") == []


async def test_a_minute_on_both_sides_of_180_degrees_is_averaged_across_them(client: httpx.AsyncClient) -> None:
    for n, long in enumerate((179.999, -179.999, 179.998, -179.997)):  # in two documents: as sent at two offsets
        sent = f"2020-01-01T12:00:0{n}Z" if n < 2 else f"2020-01-01T13:00:0{n}+01:00"
        await put_location(client, user_id="sailor", timestamp=sent, long=long, lat=0)
    [minute] = (await ask(client, ALL, ADMIN, userId="sailor"))["data"]["locations"]
    assert (minute["count"], minute["long"]) == (4, -179.99975)


async def test_start_and_end_are_inclusive_and_mean_when_a_minute_begins(client: httpx.AsyncClient) -> None:
    first, second = "2017-01-01T18:05:00Z", "2017-01-01T18:06:00Z"
    assert await minutes_of(client, start=second) == [second]
    assert await minutes_of(client, end=first) == [first]
    assert await minutes_of(client, start=first, end=second) == [first, second]
    assert await minutes_of(client, start="2017-01-01T18:05:00.001Z", end="2017-01-01T18:05:59Z") == []
    wrong = await ask(client, ALL, USER, userId="ada", start=second, end=first)
    assert (code(wrong), wrong["data"]) == ("INVALID_RANGE", {"locations": None})


async def test_a_list_of_minutes_is_never_cut_short(settings: Settings, stores: Stores) -> None:
    for most, expected in ((2, None), (1, "TOO_MANY_POINTS")):
        app = app_of(settings.model_copy(update={"max_points": most}), stores)
        async with client_of(app) as client:
            answer = await ask(client, ALL, USER, userId="ada")
        assert (code(answer) if expected else answer.get("errors")) == expected


async def test_while_mongodb_is_unavailable_the_field_says_so(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        answer = await ask(client, ALL, USER, userId="ada")
    assert (code(answer), answer["data"]) == ("UNAVAILABLE", {"locations": None})


class Failing(Minutes):
    """A store with a bug."""

    async def find(self, *_: Any, **__: Any) -> AsyncGenerator[Table]:
        raise RuntimeError("a bug")
        yield


async def test_no_user_id_is_in_a_log_or_in_an_error_text(
    client: httpx.AsyncClient, settings: Settings, database: Database, stores: Stores
) -> None:
    who = "nobody-shall-read-this"
    own = token(Role.USER, subject=who)
    failing = replace(stores, minutes=Failing(database))
    reading = "{ locations(userId: %s, start: %s) { minute } }"
    with capture_logs() as logged:
        answers = [await ask(client, ALL, each, userId=who) for each in (None, USER)]
        answers += [await ask(client, reading % (json.dumps(who), start), own) for start in ("5", '"noon"')]
        answers.append(
            await ask(client, ALL, own, userId=who, start="2017-01-01T00:00:00Z", end="2016-01-01T00:00:00Z")
        )
        async with client_of(app_of(settings, failing)) as broken:
            answers.append(await ask(broken, ALL, own, userId=who))
    assert all(answer["errors"] for answer in answers)
    assert who not in str([answers, logged])
