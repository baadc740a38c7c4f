"""What was sent is found by the time it was sent with, however either is spelled, on every route and both ways."""

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.api.graphql.routes import graphql_routes
from datacosmos.auth.permissions import AccessControl
from datacosmos.domain.series import from_datetime
from datacosmos.http.middleware import Requests
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import OURS, ask, client_of, endpoint_of, point
from tests.spellings import spellings

MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
BY_VARIABLE = "query($at: DateTime) { points(start: $at, end: $at) { time value } }"
few = examples(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def plain(settings: Settings, stores: Stores) -> AsyncGenerator[httpx.AsyncClient]:
    """GraphQL as Strawberry alone answers it."""
    app = FastAPI()
    access = AccessControl.of(settings, [OURS])
    app.include_router(graphql_routes(endpoint_of(settings, stores, access, fast=False)))
    app.add_middleware(Requests)
    async with client_of(app) as client:
        yield client


@given(MOMENTS, OFFSETS, st.integers(0, 999))
@few
async def test_a_reading_is_found_by_the_time_it_was_sent_with_however_that_is_spelled(
    client: httpx.AsyncClient,
    plain: httpx.AsyncClient,
    points: Points,
    database: Database,
    moment: datetime,
    offset: timezone,
    nanoseconds: int,
) -> None:
    await database["points"].delete_many({})
    microsecond = timedelta(microseconds=1)
    await points.add([point(moment)])
    kept = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    told = (kept.isoformat().removesuffix("+00:00")) + "Z"
    for text in spellings(moment, offset, nanoseconds):
        answer = await client.get("/points", params={"start": text, "end": text})
        assert answer.json() == [{"time": told, "value": 0.5}], text
        for asked in (client, plain):
            assert (await ask(asked, BY_VARIABLE, at=text))["data"]["points"] == answer.json()
            literal = f'{{ points(start: "{text}", end: "{text}") {{ time value }} }}'
            assert (await ask(asked, literal))["data"]["points"] == answer.json()
    before = kept - microsecond
    assert (await client.get("/points", params={"end": before.isoformat()})).json() == []
    assert (await client.get("/points", params={"start": (kept + 1000 * microsecond).isoformat()})).json() == []


@given(MOMENTS, OFFSETS, st.integers(0, 999))
@few
async def test_a_series_keeps_the_microsecond_however_a_time_is_spelled(
    client: httpx.AsyncClient, moment: datetime, offset: timezone, nanoseconds: int
) -> None:
    t = f"{Decimal(from_datetime(moment)).scaleb(-6).normalize():f}"
    texts, path = spellings(moment, offset, nanoseconds), ""
    for text in texts:
        path = (await client.post("/series", json={"points": [{"t": text, "v": 1}]})).headers["location"]
        assert re.findall(r'"(?:t|start|end)":([-0-9.]+)', (await client.get(path)).text) == [t, t, t]
        assert (await client.get(path, headers={"Accept": "text/csv"})).text == f"t,v\r\n{t},1.0\r\n"
    body = f'{{"points": [{{"t": {t}, "v": 1}}]}}'
    path = (await client.post("/series", content=body)).headers["location"]
    assert (await client.get(path, headers={"Accept": "text/csv"})).text == f"t,v\r\n{t},1.0\r\n"
    for edge in [t, *texts]:
        assert len((await client.get(path, params={"from": edge, "to": edge})).json()["points"]) == 1, edge


@pytest.mark.parametrize("wrong", ["2024-03-28T16:55:34.1234567891Z", "2024-03-28T16:55.5Z", "2024-03-28T16:55:34"])
async def test_what_one_route_refuses_all_refuse(client: httpx.AsyncClient, wrong: str) -> None:
    path = (await client.post("/series", json={"points": []})).headers["location"]
    refused = [
        await client.get(f"/points?{urlencode({'start': wrong})}"),
        await client.get(f"{path}?{urlencode({'from': wrong})}"),
        await client.post("/series", json={"points": [{"t": wrong, "v": 1}]}),
        await client.post("/series", json={"start": wrong, "interval": 1, "values": [1]}),
        await client.post("/api", json=[{"name": "a", "t": wrong, "v": 1}]),
    ]
    assert [answer.status_code for answer in refused] == [400] * 5
    assert "data" not in (await ask(client, BY_VARIABLE, at=wrong))
