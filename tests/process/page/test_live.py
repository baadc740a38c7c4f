"""The page beside a whole service, and beside an API that dies while points go on being stored."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from datacosmos.domain.instants import parse_time
from tests.process.page.opened import CHART, drawn, give, opened, until
from tests.programs import NO_CALCULATION, Program, program, run

SENTENCE = "dc-health .lines"
QUICK = NO_CALCULATION | {"DATACOSMOS_POLL_INTERVAL": "200ms"}


async def stored_in(service: Program) -> list[tuple[float, float]]:
    """Times and values of all points."""
    answer = await service.ask("{ points { time value } }")
    return [(parse_time(found["time"]).timestamp(), found["value"]) for found in answer["data"]["points"]]


async def test_live_goes_on_behind_a_killed_api_without_a_lost_or_doubled_point(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", "--demo", "--port", "0", **QUICK) as service:
        _, token, _ = await run("token", "--role", "admin", folder=tmp_path)
        async with opened(f"{service.address}/", interrupted=True) as (page, _):
            await give(page, token.strip())
            await page.locator(SENTENCE, has_text="The ledger balances").wait_for()
            await page.locator(SENTENCE, has_text="Source data_server is up, answers since").wait_for()

        async with program(tmp_path, "api", "--port", "0", **QUICK) as api:
            port = str(urlsplit(api.address).port)
            async with opened(f"{api.address}/", interrupted=True) as (page, _):
                await until(page, f"{CHART}.loaded.get('datacosmos')?.curve.times.length > 10")
                await api.kill()
                before = len(await stored_in(service))
                await page.locator(SENTENCE, has_text="The service does not answer").wait_for()
                await page.locator("dc-range .away", has_text="live feed is unavailable").wait_for()
                while (count := len(await stored_in(service))) < before + 20:
                    await asyncio.sleep(0.1)
                async with program(tmp_path, "api", "--port", port, **QUICK):
                    await until(page, f"{CHART}.loaded.get('datacosmos').curve.times.length > {count + 20}")
                    await page.locator("dc-range .away", has_text="unavailable").wait_for(state="hidden")
                    shown = await drawn(page)
                    stored = await stored_in(service)
    whole = shown[-1][0] - 2  # of the newest seconds more may have come since
    assert sorted(found for found in shown if found[0] < whole) == sorted(found for found in stored if found[0] < whole)
    assert len(shown) > count
