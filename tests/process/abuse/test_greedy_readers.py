"""Thirty greedy readers at once, each of whom asks for 1,500,000 points again and again."""

import asyncio
from pathlib import Path

import pytest

from datacosmos.settings import Settings, to_environment
from datacosmos.store.mongo.connection import Database
from datacosmos.store.stores import Stores
from tests.process.abuse.greedy import greedy_clients
from tests.process.abuse.honest import Honest
from tests.process.api.test_long_queries import insert, peak, points
from tests.programs import program

CLIENTS, LASTS = 30, 10.0
MOST_MEMORY = 300_000_000  # bytes
P95, LONGEST_HEALTH = 0.35, 1.0  # seconds


@pytest.mark.serial
@pytest.mark.timeout(300)
async def test_greedy_readers_keep_no_push_and_no_health_waiting(
    settings: Settings, database: Database, stores: Stores, tmp_path: Path
) -> None:
    await insert(database, "points", points(status="accepted", reason=None, reasons=[]))
    async with (
        program(tmp_path, "api", "--port", "0", **to_environment(settings)) as service,
        Honest(service.address, acts=("location", "health", "live")) as honest,
    ):
        async with greedy_clients(service.address, CLIENTS) as outcomes, honest.at_work():
            await asyncio.sleep(LASTS)
        assert outcomes.keys() <= {"whole", "refused"}
        assert honest.statuses.keys() == {"location", "health", "live"}
        assert honest.refused == {}
        assert peak(service.pid) < MOST_MEMORY
        assert honest.percentiles()["location"] < P95
        assert max(honest.seconds["health"] + honest.seconds["live"]) < LONGEST_HEALTH
        async with greedy_clients(service.address, 1) as outcomes, asyncio.timeout(120):
            while not outcomes:
                await asyncio.sleep(0.1)
        assert outcomes.keys() == {"whole"}
