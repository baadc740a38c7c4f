"""Clients that leave before they are answered."""

import asyncio
import json

import httpx
import pytest

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, app_of, bearer, calculation_over

QUERY = json.dumps({"query": '{ storedSeries(name: "tide") { metrics { mean } } }'}).encode()


class Hanging:
    """Calculation, which answers nothing: whether it is being asked, or is no longer."""

    def __init__(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        raise AssertionError


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
