import asyncio
import gzip
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from datacosmos.api.rest.locations import EXAMPLE, MAX_BYTES
from datacosmos.domain.minutes import Folded, Minute
from datacosmos.settings import Settings
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.stores import Stores
from tests.asking import LOCATION, app_of, client_of, client_without_store, put_location
from tests.pages import whole

STORED, DUPLICATE = {"result": "stored"}, {"result": "duplicate"}


async def read(minutes: Minutes, user: str = "ada") -> list[Minute]:
    return await whole(minutes.read(user, Window(), limit=10))


def app_with(settings: Settings, stores: Stores, **changes: Any) -> ASGIApp:
    return app_of(settings.model_copy(update=changes), stores)


async def test_a_location_is_in_its_minute_in_utc_as_soon_as_it_is_answered(
    client: httpx.AsyncClient, minutes: Minutes
) -> None:
    answer = await put_location(client)
    assert (answer.status_code, answer.json()) == (200, STORED)
    assert answer.headers["content-type"] == "application/json"
    assert await read(minutes) == [
        Minute(
            minute=datetime(2017, 1, 1, 18, 5, tzinfo=UTC),
            lat=40.701,
            long=-73.916,
            accuracy=11.3000021,
            speed=1.3999992,
            count=1,
            duplicates=0,
        )
    ]


async def test_a_duplicate_is_told_and_the_first_submitted_wins(client: httpx.AsyncClient, minutes: Minutes) -> None:
    await put_location(client)
    changes: list[dict[str, Any]] = [{}, {"lat": 10.0}, {"timestamp": "2017-01-01T13:05:12.000"}]
    for change in changes:
        answer = await put_location(client, **change)
        assert (answer.status_code, answer.json()) == (200, DUPLICATE)
    (minute,) = await read(minutes)
    assert (minute.lat, minute.count, minute.duplicates) == (40.701, 1, 3)


async def test_of_many_equals_at_once_exactly_one_is_stored(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(put_location(client, lat=float(n)) for n in range(20)))
    assert sorted(answer.json()["result"] for answer in answers) == ["duplicate"] * 19 + ["stored"]


async def test_a_packed_location_is_unpacked_or_refused(client: httpx.AsyncClient) -> None:
    body = gzip.compress(json.dumps(LOCATION).encode())
    answer = await client.put("/location", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.json() == STORED
    answer = await client.put("/location", content=body, headers={"Content-Encoding": "br"})
    assert answer.status_code == 415
    assert "gzip" in answer.json()["detail"]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_location_is_json_whatever_the_client_calls_it(client: httpx.AsyncClient, content_type: str) -> None:
    body = json.dumps(LOCATION).encode()
    answer = await client.put("/location", content=body, headers={"Content-Type": content_type})
    assert answer.json() == STORED


@pytest.mark.parametrize(
    ("body", "faulty"),
    [
        (b"", ["body"]),
        (b"[]", ["body"]),
        (b"\xff", ["body"]),
        (b"{}", list(LOCATION)),
        (json.dumps(LOCATION | {"lat": "40.7", "speed": True, "user_id": ""}).encode(), ["lat", "speed", "user_id"]),
        (json.dumps(LOCATION | {"long": float("nan")}).encode(), ["body", "long"]),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_every_faulty_field_is_named_and_nothing_is_stored(
    client: httpx.AsyncClient, minutes: Minutes, body: bytes, faulty: list[str]
) -> None:
    answer = await client.put("/location", content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["parameter"] for error in answer.json()["errors"]] == faulty
    assert all(error["detail"] for error in answer.json()["errors"])
    assert await read(minutes) == []


async def test_a_body_up_to_the_limit_is_read_and_a_larger_one_refused(client: httpx.AsyncClient) -> None:
    body = json.dumps(LOCATION).encode()
    at_limit = await client.put("/location", content=body.ljust(MAX_BYTES))
    assert at_limit.json() == STORED
    beyond = await client.put("/location", content=body.ljust(MAX_BYTES + 1))
    assert beyond.status_code == 413
    assert beyond.headers["content-type"] == "application/problem+json"
    assert f"{MAX_BYTES} bytes" in beyond.json()["detail"]


async def test_a_body_without_a_length_is_read_no_further_than_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024

    async with asyncio.timeout(10):
        answer = await client.put("/location", content=endless())
    assert answer.status_code == 413
    assert sent <= MAX_BYTES // 1024 + 2


async def test_a_full_minute_turns_away_what_is_new_and_still_tells_duplicates(
    settings: Settings, database: Database, stores: Stores
) -> None:
    small = replace(stores, minutes=Minutes(database, capacity=2))
    async with client_of(app_with(settings, small)) as client:
        for second in ("00", "01"):
            assert (await put_location(client, timestamp=f"2017-01-01 13:05:{second}")).json() == STORED
        full = await put_location(client, timestamp="2017-01-01 13:05:02")
        assert full.status_code == 429
        assert full.headers["content-type"] == "application/problem+json"
        assert "full" in full.json()["detail"]
        assert (await put_location(client, timestamp="2017-01-01 13:05:01")).json() == DUPLICATE
        assert (await put_location(client, timestamp="2017-01-01 13:06:00")).json() == STORED


async def test_while_mongodb_is_unavailable_the_answer_is_503_and_a_faulty_body_still_400(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        answer = await put_location(client)
        assert (await put_location(client, lat=91)).status_code == 400
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


class Failing(Minutes):
    """A store with a bug."""

    async def fold(self, *_: Any, **__: Any) -> Folded:
        raise RuntimeError("the password is hunter2")


async def test_an_unexpected_failure_is_masked(settings: Settings, database: Database, stores: Stores) -> None:
    app = app_with(settings, replace(stores, minutes=Failing(database)))
    async with client_of(app) as client:
        answer = await put_location(client)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text


async def test_nothing_of_a_location_is_in_logs_metrics_or_error_texts(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    who = "nobody-shall-read-this"
    with capture_logs() as logged:
        await put_location(client, user_id=who, lat=40.70123456789)
        wrongs = ("north-of-here", 91.987654321)
        texts = [(await put_location(client, user_id=who, lat=wrong)).text for wrong in wrongs]
        async with client_without_store(settings) as unavailable:
            texts.append((await put_location(unavailable, user_id=who)).text)
    for secret in (who, "north-of-here", "91.987654321", "40.70123456789"):
        assert secret not in f"{logged} {texts} {generate_latest().decode()}"


async def test_the_documentation_tells_the_real_status_codes_and_an_example_that_works(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    put = document["paths"]["/location"]["put"]
    assert put["responses"].keys() == {"200", "400", "401", "403", "408", "413", "415", "429", "503", "default"}
    body = put["requestBody"]["content"]["application/json"]
    assert body["example"] == EXAMPLE
    assert body["schema"]["required"] == list(EXAMPLE)
    assert (await client.put("/location", json=body["example"])).json() == STORED
    assert "422" not in document["paths"]["/location"]["put"]["responses"]
