"""Clients that leave before they are answered."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from datacosmos.api.feed.feed import Feed
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, SECRET, app_of, bearer, calculation_over

QUERY = json.dumps({"query": '{ storedSeries(name: "tide") { metrics { mean } } }'}).encode()


class Hanging:
    """Calculation, or MongoDB, which answers nothing: whether it is being asked, or is no longer."""

    def __init__(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def hang(self) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        await self.hang()
        raise AssertionError


@pytest.fixture(params=["ours", "uvicorn's own"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "ours":
        monkeypatch.setattr("datacosmos.http.protocol.KNOWN", "no_such_name")


@pytest.mark.usefixtures("protocol")
@pytest.mark.parametrize("path", ["/graphql", "/series/{id}/metrics", "/series/{id}/forecast", "/api/tide"])
async def test_calculation_is_no_longer_asked_when_the_client_leaves(
    settings: Settings, stores: Stores, path: str
) -> None:
    created = {"name": "tide", "unit": "m", "start": "2026-01-01T00:00:00Z", "interval": 60, "values": [1.5, 2.5]}
    calculation = Hanging()
    app = app_of(settings, stores, calculation_over(httpx.MockTransport(calculation)))
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient(base_url=address, headers=bearer(ADMIN), trust_env=False) as client,
        asyncio.timeout(10),
    ):
        identifier = (await client.post("/series", json=created)).json()["id"]
        content, method = (QUERY, "POST") if path == "/graphql" else (None, "GET")
        headers = {"Content-Type": "application/json"}
        asking = asyncio.create_task(
            client.request(method, path.format(id=identifier), content=content, headers=headers)
        )
        await calculation.asked.wait()
        asking.cancel()
        await calculation.left.wait()


async def test_changes_are_no_longer_waited_for_when_the_client_leaves_before_the_first(
    settings: Settings, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, mongodb = AsyncDatabase[Any].command, Hanging()

    async def hanging(self: AsyncDatabase[Any], asked: dict[str, Any], *args: Any, **options: Any) -> Any:
        if "pipeline" in asked:
            await mongodb.hang()
        return await command(self, asked, *args, **options)

    monkeypatch.setattr(AsyncDatabase, "command", hanging)
    feed = Feed(settings, stores.changes, SECRET)
    async with (
        serving(app_of(settings, stores, feed=feed), settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient(base_url=address, trust_env=False) as client,
        asyncio.timeout(10),
    ):
        asking = asyncio.create_task(client.get("/changes"))
        await mongodb.asked.wait()
        asking.cancel()
        await mongodb.left.wait()
