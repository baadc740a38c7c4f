"""Takes the pictures of the page that the documentation shows, beside a service that has had an hour of readings."""

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import uuid_utils
from playwright.async_api import Browser, FloatRect, async_playwright

from datacosmos.domain.points import Delivery
from datacosmos.programs.endpoints import with_running_engines
from datacosmos.programs.parts import open_queue
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.simulators import sensors as simulated
from datacosmos.simulators.data_server import Generator, create_simulator
from datacosmos.sources import data_server, sensors
from datacosmos.sources.registry import configured
from tests.programs import Program, program, run

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu"]
PAST, STEP, RATE, SEED = timedelta(hours=1), timedelta(seconds=2), 0.5, 7
AWAY = (timedelta(minutes=24), timedelta(minutes=20))
"""When the data server did not answer, counted back from now."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`shown` is what has the picture: the page from its top, or the element of a selector."""

    name: str
    fragment: str
    width: int = 1200
    height: int = 720
    scale: float = 1
    scheme: Literal["light", "dark"] = "light"
    shown: str = ""


ALL = (
    Picture("light", "#range=1h&series=datacosmos&series=sensors%2Fgreenhouse"),
    Picture("dark", "#range=1h&series=&series=sensors%2Froof&series=sensors%2Ffreezer", scheme="dark"),
    Picture("discards", "#range=1h", shown="section[aria-label=Discards]"),
    Picture("phone", "#range=1h", width=390, height=844, scale=1.5),
)


def readings(now: datetime, settings: Settings) -> Iterator[Delivery]:
    """What would have been received in the hour before, in its order."""
    [source] = [source for source in configured(settings) if source.name == data_server.SOURCE]
    clock = [(now - PAST).timestamp()]
    generator = Generator(RATE, SEED, lambda: clock[0], 0.05)
    records = simulated.records(start=(now - PAST).replace(tzinfo=None), seed=SEED, faulty=0.01)
    for step in range(int(PAST / STEP)):
        at = now - PAST + step * STEP
        clock[0] = at.timestamp()
        body = generator.take()
        if body is not None and not AWAY[1] < now - at < AWAY[0]:
            yield source.judged([source.read(body)], str(uuid_utils.uuid7()), at)
        lines = [line.encode() for line in islice(records, int(STEP.total_seconds()))]
        if step % 97 == 96:
            lines.append(lines[0])  # a duplicate
        yield sensors.source(settings).receive(lines, delivery_id=str(uuid_utils.uuid7()), received_at=at)


async def fill(settings: Settings) -> None:
    async with AsyncExitStack() as parts:
        queue = await open_queue(with_running_engines(settings), parts)
        for delivery in readings(datetime.now(UTC), settings):
            await queue.publish(delivery)


async def written(service: Program, token: str) -> None:
    """Returns once nothing is in flight any more, and the page has what there will be."""
    async with asyncio.timeout(120):
        while True:
            ledgers = (await service.ask("{ ingestion { inFlight received } }", token=token))["data"]["ingestion"]
            if (
                ledgers
                and sum(ledger["received"] for ledger in ledgers) > 1000
                and not any(ledger["inFlight"] for ledger in ledgers)
            ):
                return
            await asyncio.sleep(0.5)


async def take(browser: Browser, address: str, token: str, picture: Picture) -> None:
    context = await browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        device_scale_factor=picture.scale,
        color_scheme=picture.scheme,
        locale="en-GB",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.add_init_script(f"sessionStorage.setItem('datacosmos:token', {json.dumps(token)})")
    await page.goto(address + "/" + picture.fragment)
    await page.wait_for_selector(".sparkline")
    await page.wait_for_selector("dc-discards .list tbody tr")
    await page.wait_for_selector("dc-health >> text=The ledger balances")
    await page.wait_for_selector("dc-chart:not([aria-busy])")
    file = PICTURES / f"{picture.name}.png"
    box = await page.locator(picture.shown or "html").bounding_box()
    assert box
    clip = FloatRect(x=box["x"], y=box["y"], width=box["width"], height=min(box["height"], picture.height))
    await page.screenshot(path=file, full_page=True, clip=clip)
    await context.close()


async def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        settings = Settings.model_validate({"_env_file": None, "data_dir": Path(folder) / "data"})
        simulator = create_simulator(RATE, SEED, faulty=0)
        async with serving(simulator, settings, host="127.0.0.1", port=0) as server:
            given = {"DATACOSMOS_DATA_SERVER_URL": server}
            async with program(Path(folder), "serve", "--port", "0", **given) as service:
                _, token, _ = await run("token", "--role", "admin", folder=Path(folder))
                await fill(settings)
                await written(service, token.strip())
                async with async_playwright() as playwright:
                    browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                    for picture in ALL:
                        await take(browser, service.address, token.strip(), picture)
                    await browser.close()


if __name__ == "__main__":
    if shutil.which("chromium") is None:
        sys.exit("there is no chromium on PATH to take the pictures with")
    asyncio.run(main())
