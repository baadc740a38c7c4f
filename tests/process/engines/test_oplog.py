"""The embedded MongoDB's oplog, as far back as which the changes reach."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from datacosmos.api.feed import ring
from datacosmos.api.feed.feed import Feed
from datacosmos.api.feed.frames import Frame
from datacosmos.domain.changes import Accepted
from datacosmos.domain.points import Point
from datacosmos.engines import embedded_engines
from datacosmos.errors import CursorExpired
from datacosmos.programs.checks import show_window
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.stores import Stores
from tests.asking import NOON, SECOND, SECRET, app_of, point
from tests.process.engines.contents import connect_to

TINY, SMALL, LARGE = 1 << 20, 16 << 20, 1 << 30
SERIES = Accepted("datacosmos")


async def test_an_oplog_has_the_size_that_is_set_also_where_it_was_made_with_another(tmp_path: Path) -> None:
    for size in (SMALL, LARGE):
        async with (
            embedded_engines(tmp_path, nats=False, oplog_max_bytes=size) as endpoints,
            connect_to(endpoints) as database,
        ):
            found = await database.client["local"].command("collStats", "oplog.rs")
            assert found["maxSize"] == size


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Database]:
    """Of a MongoDB whose oplog is cut to 1 MiB at each checkpoint, and which makes one each second."""
    mongod = import_module("datacosmos.engines.mongod")
    options = mongod._options

    def with_checkpoints(*given: Any) -> list[str]:
        return [*options(*given), "--syncdelay", "1"]

    monkeypatch.setattr(mongod, "_options", with_checkpoints)
    async with (
        embedded_engines(tmp_path, nats=False, oplog_max_bytes=TINY) as endpoints,
        connect_to(endpoints) as database,
    ):
        yield database


async def test_a_cursor_that_a_truncated_oplog_does_not_reach_has_expired_and_whoever_listens_misses_nothing(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MOST_BATCHES", 2)
    stores = Stores.of(database)
    await stores.prepare()
    feed = Feed(settings, stores.changes, SECRET)
    async with (
        aclosing(feed.follow(SERIES, None)) as slow,
        aclosing(feed.follow(SERIES, None)) as quick,
        serving(app_of(settings, stores, feed=feed), settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        begun = time.time()
        cursor = (await anext(slow)).cursor
        await anext(quick)
        stored = await truncated(stores, quick, begun)
        await show_window(stores.changes)
        assert 0 <= (REGISTRY.get_sample_value("datacosmos_changes_window_seconds") or -1) < time.time() - begun
        with pytest.raises(CursorExpired):
            await anext(slow)
        refused = await client.get("/changes", params={"after": cursor})
        assert refused.status_code == 410
        assert "`start`" in refused.json()["detail"]
        async with aclosing(feed.follow(SERIES, feed.place(SERIES, NOON, None))) as again:
            assert await ids(again, len(stored)) == [each.id for each in stored]
        feed.stop()


async def truncated(stores: Stores, quick: AsyncGenerator[Frame], time: float) -> list[Point]:
    """What was stored, and read by somebody, until the oplog no longer reached back to a time."""
    stored = list[Point]()
    async with asyncio.timeout(30):
        while await earliest(stores) <= time + 1:  # it tells whole seconds
            stored.append(point(NOON + len(stored) * SECOND, raw=b"x" * 200_000))
            await stores.points.add(stored[-1:])
            assert await ids(quick, 1) == [stored[-1].id]
    return stored


async def earliest(stores: Stores) -> float:
    """When the first change was committed that is still kept, in seconds since the epoch."""
    window = await stores.changes.window()
    assert window is not None
    return time.time() - window


async def ids(frames: AsyncGenerator[Frame], count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += [change.point.id for change in (await anext(frames)).changes]
    return found
