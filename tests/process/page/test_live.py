"""The page beside a whole service that dies and comes back."""

from pathlib import Path
from urllib.parse import urlsplit

from datacosmos.domain.instants import parse_time
from tests.process.page.opened import CHART, drawn, give, opened, until
from tests.programs import NO_CALCULATION, program, run

SENTENCE = "dc-health .lines"


async def test_live_goes_on_behind_a_kill_without_a_lost_or_doubled_point_and_the_ledger_balances(
    tmp_path: Path,
) -> None:
    quick = NO_CALCULATION | {"DATACOSMOS_POLL_INTERVAL": "200ms", "DATACOSMOS_LOG_FORMAT": "console"}
    async with program(tmp_path, "serve", "--demo", "--port", "0", **quick) as service:
        _, token, _ = await run("token", "--role", "admin", folder=tmp_path)
        async with opened(f"{service.address}/", interrupted=True) as (page, _):
            await give(page, token.strip())
            await page.locator(SENTENCE, has_text="The ledger balances").wait_for()
            await page.locator(SENTENCE, has_text="Source data_server is up, answers since").wait_for()
            await until(page, f"{CHART}.loaded.get('datacosmos')?.curve.times.length > 20")

            await service.kill()
            await page.locator(SENTENCE, has_text="The service does not answer").wait_for()
            await page.locator("dc-range .away", has_text="live feed is unavailable").wait_for()
            before = len(await drawn(page))
            port = str(urlsplit(service.address).port)
            async with program(tmp_path, "serve", "--demo", "--port", port, **quick):
                await until(page, f"{CHART}.loaded.get('datacosmos').curve.times.length > {before + 30}")
                await page.locator("dc-range .away", has_text="unavailable").wait_for(state="hidden")
                await page.locator(SENTENCE, has_text="The ledger balances").wait_for()
                shown = await drawn(page)
                answer = await service.ask("{ points { time value } }")
    whole = shown[-1][0] - 2  # of the newest seconds more may have come since
    stored = [(parse_time(found["time"]).timestamp(), found["value"]) for found in answer["data"]["points"]]
    assert sorted(found for found in shown if found[0] < whole) == sorted(found for found in stored if found[0] < whole)
    assert len([found for found in shown if found[0] < whole]) > before
