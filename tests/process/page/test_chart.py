"""The curve: as it was, as it comes, and as near as one likes."""

import math
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
from playwright.async_api import Page
from starlette.types import ASGIApp

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from tests.asking import SECOND, point
from tests.process.page.opened import CHART, drawn, opened, settled, until

COUNT, GAP = 12_000, range(5_000, 5_600)
TIDE = {"name": "tide", "unit": "m", "start": "2026-01-01T00:00:00Z", "interval": 60, "values": [1.5, 2.5, 3.5] * 9}
ZOOMED = "location.hash.includes('start=')"
SHIFTS = """new Promise(resolve => {
    const seen = list => resolve(list.getEntries().reduce((sum, entry) => sum + entry.value, 0));
    new PerformanceObserver(seen).observe({type: "layout-shift", buffered: true});
    setTimeout(() => resolve(0), 500);
})"""


def value_at(number: int) -> float:
    """A wave with a spike that no mean would show."""
    return 9.5 if number == 7_777 else math.sin(number / 300)


async def fragment(page: Page) -> dict[str, list[str]]:
    return parse_qs(await page.evaluate("location.hash.slice(1)"))


async def drag(page: Page, begin: float, end: float) -> None:
    """Over shares of the plotted width."""
    box = await page.locator(".u-over").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + box["width"] * begin, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * end, middle, steps=4)
    await page.mouse.up()


async def test_a_curve_appears_moves_and_is_asked_for_anew_at_each_zoom(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    first = now - COUNT * SECOND
    stored = {number: value_at(number) for number in range(COUNT) if number not in GAP}
    await points.add([point(first + number * SECOND, value=value) for number, value in stored.items()])
    async with serving(app, settings, host="127.0.0.1", port=0) as address, opened(f"{address}/#range=6h") as (page, _):
        await page.wait_for_selector("dc-legend .gap >> text=10 min")
        values = [value for _, value in await drawn(page)]
        assert len(values) < len(stored)
        assert (min(values), max(values)) == (min(stored.values()), 9.5)
        assert await page.evaluate(SHIFTS) < 0.1

        await points.add([point(now + SECOND, value=0.25)])
        await until(page, f"{CHART}.loaded.get('datacosmos').curve.values.at(-1) === 0.25")

        await drag(page, 0.7, 0.75)
        await until(page, ZOOMED)
        [start], [end] = (await fragment(page))["start"], (await fragment(page))["end"]
        begin, finish = (datetime.fromisoformat(text) for text in (start, end))
        assert timedelta(minutes=15) < finish - begin < timedelta(minutes=22)
        wanted = [value for number, value in stored.items() if begin <= first + number * SECOND <= finish]
        await until(page, f"{CHART}.loaded.get('datacosmos').curve.times.length === {len(wanted)}")
        assert [value for _, value in await drawn(page)] == wanted

        await page.locator(".u-over").dblclick()
        await settled(page)
        assert await fragment(page) == {"range": ["6h"]}


async def test_the_first_points_appear_and_what_is_chosen_by_click_or_key_stands_in_the_address(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    async with serving(app, settings, host="127.0.0.1", port=0) as address, opened(f"{address}/") as (page, _):
        await page.locator(".empty", has_text="There are no points of datacosmos yet. make run").wait_for()
        now = datetime.now(UTC)
        await points.add([point(now - number * SECOND, value=1.0) for number in range(300)])
        await page.locator("dc-legend .value", has_text="1").wait_for()
        await page.get_by_role("button", name="1 h", exact=True).click()
        await page.get_by_role("button", name="Local time").click()
        await page.get_by_role("button", name="datacosmos", exact=True).click()  # of the legend: it hides the curve
        assert await fragment(page) == {"range": ["1h"], "zone": ["utc"], "off": ["datacosmos"]}
        await page.go_back()
        await page.go_back()
        await page.wait_for_selector("#zone >> text=Local time")
        await page.go_forward()
        await page.wait_for_selector("#zone >> text=UTC")

        await page.locator(".plot").focus()
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("ArrowLeft")
        await until(page, ZOOMED)
        await settled(page)
        zoomed = await page.evaluate("location.href")
        shown = await page.evaluate(f"{CHART}.range")
        assert 2300 < shown["to"] - shown["from"] < 2500
        await page.goto("about:blank")
        await page.goto(zoomed)
        await page.wait_for_selector("#zone >> text=UTC")
        await page.wait_for_selector("dc-legend .value")
        assert await page.evaluate(f"{CHART}.range") == shown

        async with httpx.AsyncClient(base_url=address) as client:
            await client.post("/series", json=TIDE)
        await page.get_by_label("Search series").fill("TID")
        await page.locator("dc-series li", has_text="tide").locator("button").click()
        await page.get_by_role("button", name="show all, up to").click()
        await page.locator("dc-legend li", has_text="tide").get_by_text("2.5 m", exact=True).first.wait_for()

        await page.locator(".plot").focus()
        await page.keyboard.press("Home")
        await page.wait_for_selector(".live[aria-pressed=true]")
        query = await page.locator("dc-chart .playground").get_attribute("href")
        assert query
        assert "sampled" in query
