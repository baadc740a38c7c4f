"""Exports are bounded in number, and by how slowly their clients may take them."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message

from datacosmos.api.lists import exports
from datacosmos.domain.points import Reason
from datacosmos.http import pace
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, app_of, bearer, client_of, point
from tests.unit.http.echo import refused


@pytest.fixture(params=["/points", "/discards", "/series/{id}"])
async def path(request: pytest.FixtureRequest, stores: Stores) -> str:
    if request.param in ("/points", "/discards"):
        reasons = [Reason.SYSTEM] if request.param == "/discards" else []
        await stores.points.add([point(NOON + n * timedelta(seconds=1), *reasons) for n in range(10)])
        return request.param
    async with admin_of(app_of(request.getfixturevalue("settings"), stores)) as client:
        return (await client.post("/series", json={"points": [{"t": 0, "v": 1}]})).headers["Location"]


def admin_of(app: ASGIApp) -> httpx.AsyncClient:
    client = client_of(app)
    client.headers.update(bearer(ADMIN))
    return client


class Stalled:
    """A client that takes the head of its answer and nothing more, or each part of it so many seconds late."""

    def __init__(self, app: ASGIApp, path: str, late: float | None = None) -> None:
        self._late = late
        self.started = asyncio.Event()
        self._task = asyncio.create_task(self._ask(app, path))

    async def _ask(self, app: ASGIApp, path: str) -> None:
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "query_string": b""}
        scope["headers"] = [(b"authorization", f"Bearer {ADMIN}".encode())]
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        return await asyncio.Event().wait() and {}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.started.set()
            await (asyncio.Event().wait() if self._late is None else asyncio.sleep(self._late))

    async def ended(self) -> None:
        await asyncio.wait({self._task})
        self._task.result()

    def leave(self) -> None:
        self._task.cancel()


async def test_more_exports_than_may_wait_are_refused(settings: Settings, stores: Stores, path: str) -> None:
    app = app_of(settings.model_copy(update={"exports": 1}), stores)
    async with admin_of(app) as client:
        stalled = Stalled(app, path)
        await stalled.started.wait()
        waiting = [asyncio.create_task(client.get(path)) for _ in range(3)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        [refused] = [task.result() for task in done]
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        stalled.leave()
        assert sorted([(await answer).status_code for answer in waiting]) == [200, 200, 503]


async def test_an_export_whose_client_does_not_take_it_is_broken_off(
    settings: Settings, stores: Stores, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "SLOWEST", 0.05)
    app = app_of(settings.model_copy(update={"exports": 1}), stores)
    async with admin_of(app) as client, asyncio.timeout(20):
        await Stalled(app, path).ended()
        assert (await client.get(path)).status_code == 200


async def test_an_export_whose_client_takes_each_block_but_all_of_it_too_slowly_is_broken_off(
    settings: Settings, stores: Stores, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "GRACE", 0.1)
    before = refused("slow_exports")
    app = app_of(settings.model_copy(update={"exports": 1}), stores)
    async with admin_of(app) as client, asyncio.timeout(20):
        await Stalled(app, path, late=0.08).ended()
        assert refused("slow_exports") == before + 1
        assert (await client.get(path)).status_code == 200
