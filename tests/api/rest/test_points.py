import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.types import ASGIApp

from datacosmos.domain.columns import EPOCH, MILLISECOND, Columns
from datacosmos.domain.points import Reason
from datacosmos.errors import StoreUnavailable
from datacosmos.server import serving
from datacosmos.settings import Settings
from datacosmos.store.connection import Database
from datacosmos.store.points import Points
from datacosmos.store.stores import Stores
from tests.api.asking import NOON, SECOND, app_of, client_of, client_without_store, point


async def test_the_points_of_a_range_are_one_array_by_time(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(NOON + i * SECOND / 2, value=i / 8) for i in reversed(range(4))])
    await points.add([point(NOON, Reason.SYSTEM)])
    answer = await client.get("/points")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [
        {"time": "2024-03-28T12:00:00Z", "value": 0.0},
        {"time": "2024-03-28T12:00:00.500000Z", "value": 0.125},
        {"time": "2024-03-28T12:00:01Z", "value": 0.25},
        {"time": "2024-03-28T12:00:01.500000Z", "value": 0.375},
    ]
    part = await client.get("/points", params={"start": "2024-03-28T13:00:00.5+01:00", "end": "2024-03-28T12:00:01Z"})
    assert [row["value"] for row in part.json()] == [0.125, 0.25]


async def test_nothing_in_range_is_an_empty_array(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points", params={"series": "", "start": "", "end": ""})
    assert (answer.status_code, answer.text) == (200, "[]")


async def test_an_export_of_many_batches_is_whole(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(NOON + i * timedelta(milliseconds=1), value=float(i)) for i in range(12_000)])
    assert [row["value"] for row in (await client.get("/points")).json()] == [float(i) for i in range(12_000)]


async def test_each_faulty_parameter_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points", params={"start": "noon", "end": "2024-03-28T12:00:00"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400
    assert [error["parameter"] for error in problem["errors"]] == ["start", "end"]
    assert "ISO 8601" in problem["errors"][0]["detail"]


async def test_start_after_end_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points", params={"start": "2024-03-28T12:00:01Z", "end": "2024-03-28T12:00:00Z"})
    assert answer.status_code == 400
    assert "is after end" in answer.json()["detail"]


async def test_while_mongodb_is_away_the_answer_is_503(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        answer = await client.get("/points")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


def some_columns(number: int) -> Columns:
    return Columns(np.full(number, (NOON - EPOCH) // MILLISECOND), np.ones(number))


class Interrupted(Points):
    """A store that goes away after its first batch."""

    async def columns(self, *_: Any, **__: Any) -> AsyncGenerator[Columns]:
        yield some_columns(1)
        raise StoreUnavailable("MongoDB is away")


async def test_a_failure_in_mid_stream_breaks_the_transfer_off(
    settings: Settings, database: Database, stores: Stores
) -> None:
    broken = replace(stores, points=Interrupted(database))
    app = app_of(settings, broken)
    received = b""
    async with serving(app, settings, host="127.0.0.1", port=0) as address, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", f"{address}/points") as answer:
                assert answer.status_code == 200
                async for chunk in answer.aiter_bytes():
                    received += chunk
    assert received == b'[{"time":"2024-03-28T12:00:00Z","value":1.0}'


class Endless(Points):
    """A store that never runs out, and notes when its reader is gone."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.left = asyncio.Event()

    async def columns(self, *_: Any, **__: Any) -> AsyncGenerator[Columns]:
        try:
            while True:
                await asyncio.sleep(0)
                yield some_columns(1000)
        finally:
            self.left.set()


async def test_an_export_ends_when_its_client_leaves(settings: Settings, database: Database, stores: Stores) -> None:
    points = Endless(database)
    app = app_of(settings, replace(stores, points=points))
    async with serving(app, settings, host="127.0.0.1", port=0) as address, httpx.AsyncClient() as client:
        async with client.stream("GET", f"{address}/points") as answer:
            await anext(answer.aiter_bytes())
        async with asyncio.timeout(10):
            await points.left.wait()


async def test_the_documentation_tells_the_real_status_codes(app: ASGIApp) -> None:
    async with client_of(app) as client:
        document = (await client.get("/openapi.json")).json()
    answers = document["paths"]["/points"]["get"]["responses"]
    assert answers.keys() == {"200", "400", "401", "503", "default"}
    assert "application/problem+json" in answers["400"]["content"]
    assert [path for path, routes in document["paths"].items() if "'422'" in str(routes)] == ["/series/{id}/forecast"]
