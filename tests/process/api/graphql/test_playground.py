import asyncio
import json
import secrets
from datetime import UTC, datetime
from itertools import count
from urllib.parse import urlencode, urlsplit

import httpx
from starlette.types import ASGIApp

from datacosmos.api.graphql.http import PATH
from datacosmos.domain.points import Reason
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, SECOND, bearer, point
from tests.browser import browser_page
from tests.serving import held_port, live

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def test_a_browser_gets_a_page_that_names_no_other_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/graphql", headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "//" not in page.text


async def test_the_first_query_runs_in_a_browser_and_all_files_are_ours(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    await points.add([point(datetime.now(UTC), value=42.125)])
    async with serving(app, settings, host="127.0.0.1", port=0) as address, browser_page() as (page, asked):
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        await page.goto(f"{address}/graphql")
        await page.click(".graphiql-execute-button")
        await page.wait_for_selector(".result-window >> text=42.125")
        await page.wait_for_selector(".graphiql-editor-tool >> text=Authorization")
        await page.click("button[aria-label*='GraphiQL Explorer']")
        await page.wait_for_selector(".graphiql-explorer-root >> text=discardsConnection")
        assert faults == []
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}


async def test_a_reload_keeps_the_query_and_the_page_shows_our_name(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    await points.add([point(value=7.125)])
    async with serving(app, settings, host="127.0.0.1", port=0) as address, browser_page() as (page, _):
        await page.goto(f"{address}/graphql")
        await page.wait_for_selector(".graphiql-logo >> text=DataCosmos")
        await page.click(".graphiql-query-editor .CodeMirror")
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text("{ points { value } }")
        async with asyncio.timeout(20):
            while not await page.evaluate("localStorage.getItem('datacosmos:query')"):
                await asyncio.sleep(0.02)
        await page.reload()
        await page.click(".graphiql-execute-button")
        await page.wait_for_selector(".result-window >> text=7.125")
        assert "LastHour" not in await page.inner_text(".graphiql-query-editor")


async def test_on_a_phone_query_and_answer_stand_one_below_the_other(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    await points.add([point(datetime.now(UTC), value=42.125)])
    async with serving(app, settings, host="127.0.0.1", port=0) as address, browser_page() as (page, _):
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.goto(f"{address}/graphql")
        await page.click(".graphiql-execute-button")
        await page.wait_for_selector(".result-window >> text=42.125")
        boxes = [await page.locator(place).bounding_box() for place in (".graphiql-query-editor", ".graphiql-response")]
        editor, answer = (box for box in boxes if box is not None)
        assert editor["width"] > 280
        assert answer["width"] > 280
        assert editor["y"] + editor["height"] <= answer["y"]
        assert answer["x"] + answer["width"] <= 390
        assert answer["y"] + answer["height"] <= 844


async def test_a_query_in_the_address_is_shown_ready_to_run(app: ASGIApp, settings: Settings, points: Points) -> None:
    await points.add([point(value=7.125)])
    async with serving(app, settings, host="127.0.0.1", port=0) as address, browser_page() as (page, _):
        await page.goto(f"{address}/graphql?query=%7B%20points%20%7B%20value%20%7D%20%7D")
        await page.click(".graphiql-execute-button")
        await page.wait_for_selector(".result-window >> text=7.125")


async def test_subscriptions_show_what_is_stored_as_it_is_and_take_the_token_of_the_headers(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    async with (
        serving(app, settings, host="127.0.0.1", port=0, websockets=[PATH]) as address,
        browser_page() as (page, _),
    ):
        times = (NOON + number * SECOND for number in count())
        for name, field, shown in (("changes", "point", "id"), ("discardChanges", "discard", "rawPreview")):
            query = f"subscription {{ {name} {{ events {{ {field} {{ {shown} }} }} }} }}"
            await page.goto(f"{address}/graphql?{urlencode({'query': query})}")
            await page.click(".graphiql-editor-tool .CodeMirror:visible")
            await page.keyboard.press("Control+A")
            await page.keyboard.insert_text(json.dumps(bearer(ADMIN)))
            await page.click(".graphiql-execute-button")
            await page.wait_for_selector(".result-window >> text=events")  # where they begin
            for _ in range(2):
                accepted, discarded = point(next(times)), point(NOON, Reason.SYSTEM, raw=secrets.token_hex(8).encode())
                await points.add([accepted, discarded])
                text = accepted.id if name == "changes" else discarded.reading.raw.decode()
                await page.wait_for_selector(f".result-window >> text={text}")


async def test_a_subscription_goes_on_behind_its_cursor_across_a_new_start_of_the_service(
    settings: Settings, stores: Stores
) -> None:
    query = "subscription ($after: String) { changes(after: $after) { cursor events { point { id } } } }"
    async with held_port() as port, browser_page() as (page, _):
        async with live(settings, stores, port) as address:
            await page.goto(f"{address}/graphql?{urlencode({'query': query, 'variables': '{}'})}")
            await page.click(".graphiql-execute-button")
            await page.wait_for_selector(".result-window >> text=events")
            await stores.points.add([seen := point()])
            await page.wait_for_selector(f".result-window >> text={seen.id}")
        await stores.points.add([missed := point(NOON + SECOND)])
        async with live(settings, stores, port):
            await page.wait_for_selector(f".result-window >> text={missed.id}")
