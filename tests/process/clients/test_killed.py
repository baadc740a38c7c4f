"""What follows changes, as users run it, all at once: each has each point once, whatever is killed meanwhile."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from playwright.async_api import Page

from datacosmos.errors import StoreUnavailable
from datacosmos.store.mongo.connection import connect
from datacosmos.store.stores import Stores
from tests.asking import SECOND, point
from tests.process.clients.test_live import Next, example, in_browser, in_node
from tests.process.faults.account import mongodb_url
from tests.process.faults.group import Group, group
from tests.process.faults.service import until
from tests.process.page.opened import drawn
from tests.programs import COMMAND, environment

NODE = ("urql", "Apollo")
Got = Mapping[str, list[str]]


@pytest.mark.timeout(300)
async def test_each_client_has_each_point_once_across_kills_of_the_api_and_of_mongodb(tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    async with group(tmp_path, "api") as programs, following(programs, start) as (got, page):
        async with storing(programs, start) as stored:
            await until_more(got)
            await programs.kill("api")
            await until_more({"stored": stored})
            await programs.start("api")
            await until_more(got)
            await programs.kill("mongod")
            await until_more(got)
        try:
            await until(lambda: all(len(ids) >= len(stored) for ids in got.values()))
        finally:
            for name, ids in got.items():
                assert Counter(ids) == Counter(stored), name
        shown = Counter(value for _, value in await drawn(page))
        assert shown == Counter(float(number) for number in range(len(stored)))


@asynccontextmanager
async def storing(programs: Group, start: datetime) -> AsyncGenerator[list[str]]:
    """A point after the other until the end of the block, each until MongoDB has confirmed it; the ids of those."""
    stored, ended = list[str](), asyncio.Event()
    async with connect(mongodb_url(programs), "datacosmos", timedelta(seconds=2)) as database:
        points = Stores.of(database).points

        async def store() -> None:
            for number in count():
                added = point(start + number * SECOND / 100, value=float(number), at=datetime.now(UTC))
                while True:
                    try:
                        await points.add([added])
                        break
                    except StoreUnavailable:
                        await asyncio.sleep(0.05)
                stored.append(added.id)
                if ended.is_set():
                    return
                await asyncio.sleep(0.03)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store())
            try:
                yield stored
            finally:
                ended.set()


async def until_more(got: Got, more: int = 20) -> None:
    """Each has so many more than now."""
    before = {name: len(ids) for name, ids in got.items()}
    await until(lambda: all(len(ids) >= before[name] + more for name, ids in got.items()))


@asynccontextmanager
async def following(programs: Group, start: datetime) -> AsyncGenerator[tuple[Got, Page]]:
    """What each client has got, and the page in whose window the browser's is at work."""
    port = programs.url.rpartition(":")[2]

    def script(name: str) -> str:
        begun = start.strftime("%Y-%m-%dT%H:%M:%SZ")
        return example(name).replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("2026-11-22T16:00:00Z", begun)

    async with AsyncExitStack() as clients, asyncio.TaskGroup() as tasks:
        draws = {name: await clients.enter_async_context(in_node(script(name))) for name in NODE}
        draws["EventSource"], page = await clients.enter_async_context(in_browser(script("EventSource"), programs.url))
        draws["watch"] = await clients.enter_async_context(watched(programs.url, start))
        got: dict[str, list[str]] = {name: [] for name in draws}
        collecting = [tasks.create_task(collect(draws[name], got[name])) for name in draws]
        yield got, page
        for task in collecting:
            task.cancel()


async def collect(draw: Next, got: list[str]) -> None:
    while True:
        kind, id_ = await draw()
        assert kind == "ACCEPTED"
        got.append(id_)


@asynccontextmanager
async def watched(address: str, start: datetime) -> AsyncGenerator[Next]:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "watch", "--start", start.isoformat()), cwd=Path("/"), env=environment({"DATACOSMOS_URL": address}),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def line() -> list[str]:
        assert process.stdout is not None
        change = json.loads(await process.stdout.readline())
        return [change["kind"], change["point"]["id"]]

    try:
        yield line
    finally:
        process.kill()
        await process.wait()
