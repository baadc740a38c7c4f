"""kill -9 of everything there is, at random moments under load."""

import asyncio
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.faults.account import check_balance
from tests.process.faults.group import PATIENCE, Group, group
from tests.process.faults.senders import DataServer, Sensors, data_server

log = logging.getLogger(__name__)
KILLS = int(os.environ.get("FAULTS_KILLS", "10"))
PROGRAMS = ("ingest", "write", "api")
TARGETS = (*PROGRAMS, "mongod", "nats-server", "the whole group")


def victims(chance: random.Random) -> Iterator[str]:
    """Every one before any comes again, in a new order each time."""
    while True:
        yield from chance.sample(TARGETS, len(TARGETS))


@pytest.mark.timeout(120 + 30 * KILLS)
async def test_killed_again_and_again_under_load_nothing_acknowledged_is_lost_or_counted_twice(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    victim = victims(chance)
    poller_kills = 0
    async with (
        data_server(100_000) as server,
        group(tmp_path, *PROGRAMS, DATACOSMOS_DATA_SERVER_URL=server.url) as programs,
    ):
        sensors = Sensors(programs.url)
        async with sensors.at_work():
            for _ in range(KILLS):
                await progress(sensors, server, chance)
                name = next(victim)
                log.warning("kill -9 of %s", name)
                await kill_and_start_again(programs, name)
                poller_kills += name in ("ingest", "the whole group")
            await progress(sensors, server, chance)
        server.end()
        await server.served_all()
        await check_balance(programs, sensors=sensors, server=server, poller_kills=poller_kills)


async def progress(sensors: Sensors, server: DataServer, chance: random.Random) -> None:
    """Returns after some more readings were taken from both sources, at a moment that nobody can foresee."""
    batches = sensors.batches + chance.randrange(1, 30)
    served = len(server.served) + chance.randrange(1, 100)
    async with asyncio.timeout(PATIENCE):
        while sensors.batches < batches or len(server.served) < served:
            await asyncio.sleep(0.001)


async def kill_and_start_again(programs: Group, name: str) -> None:
    if name == "the whole group":
        await programs.kill_all()
        await programs.start_all_again()
        return
    await programs.kill(name)
    if name in PROGRAMS:
        await programs.start(name)
