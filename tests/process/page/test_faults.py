"""What the page says while something fails, and that it goes on; and what it draws of a forecast."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from playwright.async_api import Page, Route
from starlette.types import ASGIApp

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from tests.asking import SECOND, point
from tests.process.page.opened import CHART, drawn, opened, until

AWAY, SENTENCE = "dc-range .away", "dc-health .lines"
EVENTS = {"Content-Type": "text/event-stream"}
LAGGING = {"message": "changes come too fast", "extensions": {"code": "LAGGING", "cursor": "c2"}}
EXPIRED = {"title": "Gone", "status": 410, "detail": "the changes behind this cursor are no longer kept"}
WAVE = [4.2, 4.4, 4.1, 4.3, 4.5] * 12
INK = f"""([time, value]) => {{
    const {{ ctx, valToPos }} = {CHART}.plot.uplot;
    const [x, y] = [valToPos(time, "x", true), valToPos(value, "ym", true)];
    return ctx.getImageData(Math.round(x), Math.round(y), 1, 1).data[3];
}}"""


async def test_a_feed_that_lags_goes_on_behind_its_cursor_and_one_that_has_expired_begins_anew(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    now = datetime.now(UTC)
    await points.add([point(now - 20 * SECOND, value=1.0)])
    lagging = f"id: c1\ndata: {{}}\n\nevent: error\ndata: {orjson.dumps(LAGGING).decode()}\n\n"
    answers: list[dict[str, Any]] = [
        {"status": 200, "headers": EVENTS, "body": lagging},
        {"status": 410, "headers": {"Content-Type": "application/problem+json"}, "body": orjson.dumps(EXPIRED)},
    ]
    asked, seen = list[str](), asyncio.Semaphore(1)

    async def answer(route: Route) -> None:
        asked.append(httpx.URL(route.request.url).params.get("after", ""))
        await seen.acquire()
        if len(asked) > len(answers):
            await route.continue_()
        else:
            await route.fulfill(**answers[len(asked) - 1])

    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        opened(f"{address}/health/live", interrupted=True) as (page, _),
    ):
        await page.route("**/changes?*", answer)
        await page.goto(f"{address}/")
        for said in (LAGGING["message"], EXPIRED["detail"]):
            await page.locator(AWAY, has_text=f"unavailable ({said}): trying again, nothing is missed").wait_for()
            await points.add([point(now - (10 + len(asked)) * SECOND, value=2.0)])  # of which no feed tells
            seen.release()
        await page.locator(AWAY, has_text="unavailable").wait_for(state="hidden")
        await until(page, f"{CHART}.loaded.get('datacosmos').curve.times.length === 3")
        await points.add([point(now, value=3.0)])
        await until(page, f"{CHART}.loaded.get('datacosmos').curve.values.at(-1) === 3")
        assert [value for _, value in await drawn(page)] == [1.0, 2.0, 2.0, 3.0]
    assert asked == ["", "c2", ""]


async def test_what_is_down_is_said_since_when(app: ASGIApp, settings: Settings) -> None:
    parts = {
        "store": {"status": "ok", "detail": "MongoDB takes writes"},
        "data_server": {"status": "unavailable", "detail": "it refuses connections; down since 2026-03-28T16:55:34Z"},
    }
    down = orjson.dumps({"status": "degraded", "parts": parts})
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        opened(f"{address}/#zone=utc", interrupted=True) as (page, _),
    ):

        async def wait_for(sentence: str) -> None:
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # sooner than by itself
            await page.locator(SENTENCE, has_text=sentence).wait_for()

        await page.route("**/health", lambda route: route.fulfill(status=503, body=down))
        await wait_for("A source is down")
        await wait_for("Source data_server is down since Mar 28, 2026, 16:55:34")
        await page.unroute("**/health")
        await page.route("**/health", lambda route: route.abort())
        await wait_for("The service does not answer, since ")


async def test_a_forecast_is_drawn_behind_the_last_point(app: ASGIApp, settings: Settings) -> None:
    pushed = {"name": "tide", "unit": "m", "start": "2026-01-01T00:00:00Z", "interval": 60, "values": WAVE}
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        series = (await client.post("/series", json=pushed)).json()["id"]
        told = await client.get(f"/series/{series}/forecast", params={"horizon": 24, "level": [80, 95]}, timeout=60)
        async with opened(f"{address}/#series=stored/{series}&range=all") as (page, _):
            await until(page, f"{CHART}.loaded.get('stored/{series}')?.curve.times.length === {len(WAVE)}")
            await page.get_by_role("button", name="Forecast").click()
            ahead = told.json()["points"]
            await until(page, f"{CHART}.range.to >= {ahead[-1]['t']}")
            for expected in ahead[1:-1]:
                await see(page, expected)


async def see(page: Page, expected: dict[str, Any]) -> None:
    """Whether something is drawn within the widest interval, and nothing beyond it."""
    widest = expected["intervals"][-1]
    between = (expected["v"] + widest["high"]) / 2
    beyond = widest["high"] + (widest["high"] - widest["low"]) / 20
    assert await page.evaluate(INK, [expected["t"], between])
    assert not await page.evaluate(INK, [expected["t"] + 7, beyond])
