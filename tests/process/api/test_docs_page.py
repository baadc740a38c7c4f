"""The documentation's page, in a browser: each route tried as its reader would, with what the page fills in."""

from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Page

from datacosmos.api.intake import Intake
from datacosmos.pipeline.ledger import ledgers
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.sources.registry import configured
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, app_of, bearer
from tests.browser import browser_page
from tests.queues import open_queue

FILLED_IN = {"query": "{ points { value } }", "name": "mast"}
"""What a reader types in; the name is one of the examples', the id that of a series made for this."""


async def routes(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """The page's own names of every route, those that delete last; a series is made before it is asked for by name.

    All but streams: they have no end, for which the page waits, as they say.
    """
    paths = (await client.get("/openapi.json")).json()["paths"]
    order = {"post": 0, "put": 1, "get": 2, "delete": 3}
    found = [(method, route) for path in paths.values() for method, route in path.items()]
    listed = [(order[method], route) for method, route in found if route["tags"] != ["changes"]]
    return [(route["tags"][0], route["operationId"]) for _, route in sorted(listed, key=lambda each: each[0])]


async def try_out(page: Page, tag: str, operation: str, values: dict[str, str]) -> int:
    """The status that the page shows after Execute."""
    block = page.locator(f"[id='operations-{tag.replace(' ', '_')}-{operation}']")
    await block.locator(".opblock-summary-control").click()
    await block.locator(".try-out__btn").click()
    for name, value in values.items():
        field = block.locator(f"tr[data-param-name='{name}'] input")
        if await field.count():
            await field.fill(value)
    await block.locator(".execute").click()
    status = await block.locator(".live-responses-table .response-col_status").last.inner_text()
    return int(status.split()[0])


@pytest.mark.timeout(240)
async def test_every_route_works_from_the_page_with_the_examples_it_shows(settings: Settings, stores: Stores) -> None:
    async with open_queue(settings) as queue:
        intake = Intake(queue.publish, lambda: ledgers(configured(settings), queue, stores.points, stores.receipts))
        app = app_of(settings, stores, intake=intake)
        async with (
            serving(app, settings, host="127.0.0.1", port=0) as address,
            httpx.AsyncClient(base_url=address) as client,
            browser_page() as (page, asked),
        ):
            even = {"start": 1711644900, "interval": 1, "values": [n % 4 for n in range(50)]}
            made = (await client.post("/series", json=even)).json()["id"]
            await page.set_extra_http_headers(bearer(ADMIN))  # as after Authorize
            await page.goto(f"{address}/docs")
            await page.wait_for_selector(".opblock")
            statuses = {
                operation: await try_out(page, tag, operation, FILLED_IN | {"id": made})
                for tag, operation in await routes(client)
            }
        assert len(statuses) >= 18
        assert {operation: status for operation, status in statuses.items() if status >= 300} == {}
        assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {urlsplit(address).netloc}
