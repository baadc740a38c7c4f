import asyncio
import time

from datacosmos.settings import Settings
from tests.engine.sources.conftest import Whole, serving_whole
from tests.scripted_server import hang, point, scripted_server

POINTS = "query ($series: String!) { points(series: $series) { time } }"
DISCARDS = "query ($source: String) { discards(source: $source) { reason series } }"
STATES = {"roof": "ok", "cellar": "ok", "stuck": "ok", "none": "unavailable"}


async def states(service: Whole) -> dict[str, str]:
    parts = await service.parts()
    return {name: parts[f"data_server/{name}"]["status"] for name in STATES}


async def test_each_data_server_has_its_series_limits_health_metrics_and_ledger_whatever_becomes_of_another(
    brisk: Settings,
) -> None:
    now = int(time.time())
    async with scripted_server() as roof, scripted_server() as cellar, scripted_server() as stuck:
        servers = [
            {"name": "roof", "url": roof.url, "max_age": "5m"},
            {"name": "cellar", "url": cellar.url, "series": "below"},
            {"name": "stuck", "url": stuck.url, "timeout": "1h"},
            {"name": "none", "url": "http://127.0.0.1:1"},
        ]
        stuck.play(hang)
        for server in (roof, cellar):
            server.play(point(now), point(now - 600))
        async with serving_whole(Settings.model_validate(brisk.model_dump() | {"data_servers": servers})) as service:
            ledgers = await service.settled(received=4)
            await service.check_balance(ledgers)
            counts = [(ledgers[f"data_server/{name}"]["accepted"], name) for name in STATES]
            assert counts == [(1, "roof"), (2, "cellar"), (0, "stuck"), (0, "none")]

            assert len((await service.ask(POINTS, series="roof"))["points"]) == 1
            assert len((await service.ask(POINTS, series="below"))["points"]) == 2
            found = (await service.ask(DISCARDS, source="data_server/roof"))["discards"]
            assert found == [{"reason": "TOO_OLD", "series": "roof"}]

            async with asyncio.timeout(30):
                while stuck.requests == 0 or await states(service) != STATES:
                    await asyncio.sleep(0.02)
            assert (await service.parts())["data_server/stuck"]["detail"] == "not asked yet"
            for name, up in (("roof", 1), ("cellar", 1), ("none", 0)):
                assert await service.metric("datacosmos_data_server_up", source=f"data_server/{name}") == up
            await stuck.stop()
