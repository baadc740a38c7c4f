"""The JavaScript of docs/frontend.md that follows changes, run as it stands there."""

# pyright: reportUnknownMemberType=false

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Page

from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import SECOND, point
from tests.browser import browser_page
from tests.process.clients import HERE, installed_node
from tests.serving import held_port, live

ROOT = Path(__file__).parents[3]
PAGE, README = ROOT / "docs" / "frontend.md", ROOT / "README.md"
DRAW = "globalThis.draw = (kind, point) => console.log(JSON.stringify([kind, point.id]));\n"
START = datetime(2026, 11, 22, 16, tzinfo=UTC)
PATIENCE = 40  # seconds
Next = Callable[[], Awaitable[list[str]]]


def example(title: str) -> str:
    """With what goes before it."""
    return block(title) if title == "EventSource" else block("graphql-ws") + block(title)


def block(title: str, page: Path = PAGE) -> str:
    [text] = re.findall(rf'^```js title="{title}"\n(.*?)^```$', page.read_text(), re.DOTALL | re.MULTILINE)
    return text


@pytest.mark.parametrize("title", ["EventSource", "graphql-ws"])
def test_the_readme_has_the_same_lines(title: str) -> None:
    assert block(title, README) == block(title)


@asynccontextmanager
async def in_node(script: str) -> AsyncGenerator[Next]:
    """What it draws."""
    process = await asyncio.create_subprocess_exec(
        *(installed_node(), "--input-type=module", "--eval", DRAW + script),
        cwd=HERE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip

    async def following() -> list[str]:
        assert process.stdout is not None
        return json.loads(await process.stdout.readline())

    try:
        yield following
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # what the wheel has on PATH starts another process
        await process.communicate()


@asynccontextmanager
async def in_browser(script: str, address: str) -> AsyncGenerator[tuple[Next, Page]]:
    """The same, and the service's own page, where it is run."""
    async with browser_page() as (page, _):
        drawn = asyncio.Queue[list[str]]()

        def draw(kind: str, point: dict[str, str]) -> None:
            drawn.put_nowait([kind, point["id"]])

        await page.expose_function("draw", draw)
        await page.goto(f"{address}/")
        await page.evaluate(script)
        yield drawn.get, page


@pytest.mark.parametrize("title", ["EventSource", "urql", "Apollo"])
async def test_each_point_is_drawn_once_as_it_is_stored_also_across_a_new_start_of_the_service(
    settings: Settings, stores: Stores, title: str
) -> None:
    stored = [point(START + number * SECOND) for number in range(5)]
    await stores.points.add(stored[:2])
    async with held_port() as port, AsyncExitStack() as client:
        async with live(settings, stores, port) as address:
            script = example(title).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            if title == "EventSource":
                drawn, _ = await client.enter_async_context(in_browser(script, address))
            else:
                drawn = await client.enter_async_context(in_node(script))
            async with asyncio.timeout(PATIENCE):
                assert [await drawn() for _ in range(2)] == [["ACCEPTED", each.id] for each in stored[:2]]
                await stores.points.add([stored[2]])
                assert await drawn() == ["ACCEPTED", stored[2].id]
        await stores.points.add([stored[3]])
        async with live(settings, stores, port), asyncio.timeout(PATIENCE):
            assert await drawn() == ["ACCEPTED", stored[3].id]
            await stores.points.add([stored[4]])
            assert await drawn() == ["ACCEPTED", stored[4].id]
