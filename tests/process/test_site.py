"""The site that `make docs` built of docs/."""

from pathlib import Path

import pytest

from tests.browser import browser_page

SITE = Path(__file__).parents[2] / "site"
PAGES = [page.stem for page in sorted((SITE.parent / "docs").glob("*.md"))]


@pytest.mark.skipif(not SITE.exists(), reason="`make docs` has not built the site")
async def test_no_page_of_the_site_asks_another_host() -> None:
    async with browser_page() as (page, asked):
        for name in PAGES:
            await page.goto(f"{SITE.as_uri()}/{name}.html", wait_until="networkidle")
            assert await page.locator("article h1").count() >= 1
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
