"""What was discarded, for whom it is meant, and never as anything but text."""

from datetime import UTC, datetime
from itertools import product
from typing import Literal

import pytest
from playwright.async_api import Page
from starlette.types import ASGIApp

from datacosmos.domain.points import Reason
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from tests.asking import ADMIN, INVALID, SECOND, USER, point
from tests.process.clients import HERE
from tests.process.page.opened import give, opened, until

HOSTILE = {
    "markup": b'<img src=x onerror="document.title=1"><script>document.title=1</script>',
    "brackets": b"[" * 65_536,
    "directions": "\u202egnp.exe\u2066 \u200b|\x00|".encode(),
    "no text": b"\xff\xfe\x00",
}
APPEARANCES: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1280), ("dark", 1280), ("light", 360))
SCHEMES: dict[Literal["light", "dark"], tuple[str, str, str]] = {
    "light": ("243, 245, 248", "11, 99, 181", "179, 64, 14"),
    "dark": ("14, 19, 26", "102, 178, 255", "255, 148, 97"),
}
"""Red, green and blue of the page, of its first line, and of malformed discards."""
COLOURS = """(selector => {
    const canvas = document.querySelector(selector);
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(Array.from({length: data.length / 4}, (_, n) => data.slice(4 * n, 4 * n + 3).join(", ")));
})"""
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
WORST = """axe.run().then(({violations}) => violations.filter(({impact}) => ["serious", "critical"].includes(impact))
    .map(({id, nodes}) => id + ": " + nodes.map(({html}) => html).join("; ")))"""


async def store(points: Points) -> None:
    """An accepted point, a duplicate of it, and what nobody should have sent."""
    now = datetime.now(UTC)
    winner = point(now - 60 * SECOND, value=4.5, at=now)
    repeated = point(winner.reading.time, Reason.DUPLICATE, at=now - 10 * SECOND)
    object.__setattr__(repeated, "duplicate_of", winner.id)
    malformed = [
        point(
            None, Reason.MALFORMED, at=now - (20 + age) * SECOND, raw=raw, faults=(raw.decode("utf-8", "replace")[:90],)
        )
        for age, raw in enumerate(HOSTILE.values())
    ]
    await points.add([winner])
    await points.add([repeated, *malformed])


async def test_discards_are_for_administrators_and_shown_as_text_whatever_they_hold(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    await store(points)
    async with serving(app, settings, host="127.0.0.1", port=0) as address, opened(address) as (page, asked):
        discards = page.locator("dc-discards")
        await discards.get_by_text("datacosmos token --role admin").wait_for()
        await give(page, INVALID["expired"])
        await page.locator("dc-token [role=alert]", has_text="expired").wait_for()
        await page.get_by_role("button", name="Remove token").click()
        await give(page, USER)
        await page.locator("dc-token", has_text="ada (user)").wait_for()
        await discards.get_by_text("Administrators see this").wait_for()
        await page.get_by_role("button", name="Remove token").click()
        await give(page, ADMIN)

        await discards.get_by_role("button", name="malformed 4").wait_for()
        await discards.get_by_role("button", name="duplicate 1").click()
        await discards.get_by_text("1 discards in this range").wait_for()
        await discards.locator(".list td button").click()
        await page.locator("dialog .winner", has_text="value 4.5").wait_for()
        await page.keyboard.press("Escape")
        await discards.get_by_role("button", name="duplicate 1").click()
        await discards.get_by_text("5 discards in this range").wait_for()

        await see(page, 1, "<script>document.title=1</script>", "3c 69 6d 67")
        await see(page, 2, "[" * 4096, "5b 5b 5b 5b")
        await see(page, 3, "⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+200B⟩|␀|", "e2 80 ae")
        await see(page, 4, "��␀", "ff fe 00")
        async with page.expect_download() as downloading:
            await discards.get_by_role("button", name="Export CSV").click()
        saved = await (await downloading.value).path()
        assert len(saved.read_bytes().splitlines()) == 6

        assert await page.title() == "DataCosmos"
        await page.reload()
        await discards.get_by_text("datacosmos token --role admin").wait_for()
        assert not [url for url in asked if ADMIN in url or USER in url]


async def see(page: Page, row: int, text: str, code: str) -> None:
    """Opens a discard, reads it, and closes it."""
    await page.locator("dc-discards .list tbody tr").nth(row).locator("button").click()
    shown = page.locator("dialog")
    await shown.locator("pre.text").wait_for()
    assert await shown.locator("pre.text").inner_text() == text if len(text) > 90 else text in await shown.inner_text()
    await shown.get_by_text("Hex").click()
    assert code in await shown.locator("pre.hex").inner_text()
    await page.keyboard.press("Escape")
    await until(page, "!document.querySelector('dialog').open")


async def test_axe_finds_nothing_serious_in_light_dark_or_on_a_phone_and_keys_reach_all(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    if not (HERE / "node_modules" / ".installed").exists():
        pytest.skip("axe-core is not installed: make tests/process/clients/node_modules/.installed")
    await store(points)
    async with serving(app, settings, host="127.0.0.1", port=0) as address, opened(address) as (page, _):
        await give(page, ADMIN)
        await page.locator("dc-discards .list tbody tr").first.wait_for()
        await page.locator("dc-chart summary").click()
        await page.locator("dc-chart tbody tr").first.wait_for()
        await page.evaluate(AXE.read_text())
        for theme, width in APPEARANCES:
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate(WORST) == [], (theme, width)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.locator("dc-discards .list td button").first.click()
        await page.locator("dialog pre").first.wait_for()
        assert await page.evaluate(WORST) == []
        await page.keyboard.press("Escape")
        reached = await tabbed(page)
        assert {"Skip to the chart", "UTC", "Local time"} & reached
        assert {"Remove token", "15 min", "Live", "Custom", "Search series", "Export CSV", "Older"} - {
            "Older"
        } <= reached
        assert any(name.startswith("Chart.") for name in reached)


async def tabbed(page: Page) -> set[str]:
    """What the focus comes to, from the beginning of the page."""
    await page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    names: set[str] = set()
    for _ in range(60):
        await page.keyboard.press("Tab")
        names.add(
            await page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"
            )
        )
    return names


async def test_the_colours_chosen_win_over_the_systems_also_in_what_is_drawn(
    app: ASGIApp, settings: Settings, points: Points
) -> None:
    now = datetime.now(UTC)
    await points.add([point(now - age * SECOND, value=age / 7, at=now) for age in range(600)])
    await points.add([point(None, Reason.MALFORMED, at=now - 60 * SECOND)])
    async with serving(app, settings, host="127.0.0.1", port=0) as address, opened(address) as (page, _):
        await give(page, ADMIN)
        for system, chosen in product(SCHEMES, ("", *SCHEMES)):
            await page.emulate_media(color_scheme=system, reduced_motion="reduce")
            await page.evaluate(f"location.hash = 'range=15m&theme={chosen}'")
            back, line, bar = SCHEMES[chosen or system]
            await until(page, f"getComputedStyle(document.body).backgroundColor === 'rgb({back})'")
            await until(page, f"{COLOURS}('dc-chart canvas').has('{line}')")
            await until(page, f"{COLOURS}('dc-discards canvas').has('{bar}')")
