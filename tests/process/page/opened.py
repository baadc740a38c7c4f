"""The page in a browser."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page

from tests.browser import browser_page

CHART = "document.querySelector('dc-chart')"
PATIENCE = 60  # seconds; several tests share the machine


@asynccontextmanager
async def opened(address: str, *, interrupted: bool = False) -> AsyncGenerator[tuple[Page, list[str]]]:
    """The page, and what it asks for: nobody else. Unless it is interrupted, it says nothing on the console."""
    async with browser_page() as (page, asked):
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" and not interrupted else None)
        await page.goto(address)
        yield page, asked
        assert faults == []
        assert {urlsplit(url).netloc for url in asked if not url.startswith("blob:")} == {urlsplit(address).netloc}


async def drawn(page: Page, series: str = "datacosmos") -> list[tuple[float, float]]:
    """The points of a series that the chart has, in epoch seconds."""
    curve = f"{CHART}.loaded.get({series!r})?.curve"
    pairs: list[Any] = await page.evaluate(f"({curve}?.times ?? []).map((time, at) => [time, {curve}.values[at]])")
    return [(time, value) for time, value in pairs]


async def until(page: Page, condition: str) -> None:
    """Returns once it holds. Playwright's own way evaluates text within the page, which our policy forbids."""
    async with asyncio.timeout(PATIENCE):
        while not await page.evaluate(condition):
            await asyncio.sleep(0.05)


async def settled(page: Page) -> None:
    """Returns once nothing is asked for that is not drawn."""
    await until(page, f"!{CHART}.hasAttribute('aria-busy')")


async def give(page: Page, token: str) -> None:
    await page.locator("dc-token summary").click()
    await page.get_by_label("Token", exact=True).fill(token)
    await page.get_by_role("button", name="Use token").click()
