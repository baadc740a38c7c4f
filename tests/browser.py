"""A page as people see it."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, async_playwright


@asynccontextmanager
async def browser_page() -> AsyncGenerator[tuple[Page, list[str]]]:
    """A page of headless Chromium, and the addresses it asked for."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on PATH to open the page with")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=flags)
        page = await browser.new_page()
        page.set_default_timeout(90_000)  # milliseconds; several tests share the machine
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        try:
            yield page, asked
        finally:
            await browser.close()
