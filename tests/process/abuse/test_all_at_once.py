"""All that anyone can do against the service at once, while honest clients go on."""

import asyncio
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from datacosmos.auth.issuers import Role
from datacosmos.settings import Settings, to_environment
from datacosmos.store.mongo.connection import Database
from tests.asking import token
from tests.process.abuse.attacks import CLIENTS
from tests.process.abuse.honest import USER, Honest
from tests.process.api.test_long_queries import insert, peak, points
from tests.processes import children_of
from tests.programs import Program, environment, program

LONG = 999_000
P95, AFTER = 0.35, 10.0  # seconds
MOST_MEMORY, MOST_CHILD_MEMORY = 700_000_000, 400_000_000  # bytes
PATIENCE = 180
ATTACKS = {attack.__name__ for attack in CLIENTS}


class Attackers:
    """What they were answered, by attack."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.answered: defaultdict[str, Counter[int]] = defaultdict(Counter)

    async def are_all_answered(self) -> None:
        """Each in one way or another."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while self.answered.keys() != ATTACKS:
                name, status = (await self._process.stdout.readline()).split()
                self.answered[name.decode()][int(status)] += 1

    async def end(self) -> None:
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def attackers(address: str, series: str) -> AsyncGenerator[Attackers]:
    command = (sys.executable, "-m", "tests.process.abuse.attacks", address, series)
    process = await asyncio.create_subprocess_exec(*command, env=environment({}), stdout=asyncio.subprocess.PIPE)
    attackers = Attackers(process)
    try:
        yield attackers
    finally:
        await attackers.end()


async def store_series(address: str, count: int) -> str:
    """Its path."""
    samples = {"start": 0, "interval": 1, "values": [n % 7 for n in range(count)]}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(f"{address}/series", json=samples)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


async def until_warm(service: Program) -> None:
    """What a start costs is over once a forecast is answered."""
    series = await store_series(service.address, 20)
    async with asyncio.timeout(PATIENCE):
        while (await service.get(f"{series}/forecast?horizon=1")).status_code != 200:
            await asyncio.sleep(0.1)


async def until_stored(honest: Honest) -> None:
    """All that was acknowledged, nothing twice."""
    expected = {name: honest.acknowledged[name] for name in ("sensors", "location", "named", "append")}
    async with asyncio.timeout(PATIENCE):
        while (found := await honest.stored()) != expected:
            assert all(found[name] <= count for name, count in expected.items()), (found, expected)
            await asyncio.sleep(0.2)


@pytest.mark.serial
@pytest.mark.timeout(600)
async def test_honest_clients_are_served_and_lose_nothing_while_all_attacks_run_at_once(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    await insert(database, "points", points(status="accepted", reason=None, reasons=[]))
    assert settings.jwt_secret
    secret = settings.jwt_secret.get_secret_value()
    variables = to_environment(settings.model_copy(update={"data_server_url": "http://127.0.0.1:1"}))
    async with (
        program(tmp_path, "serve", "--port", "0", **variables) as service,
        Honest(service.address, token(Role.USER, subject=USER, secret=secret)) as honest,
    ):
        await until_warm(service)
        series = await store_series(service.address, LONG)
        async with honest.at_work(), attackers(service.address, series) as attack:
            await attack.are_all_answered()
        report(honest, attack, service.pid)
        assert honest.refused == {}
        assert peak(service.pid) < MOST_MEMORY
        for child in ("calculation", "write", "--multiprocessing-fork"):
            assert max(map(peak, children_of(service.pid, child))) < MOST_CHILD_MEMORY
        assert max(honest.percentiles().values()) < P95, honest.percentiles()
        await asyncio.sleep(AFTER)
        honest.forget()
        async with honest.at_work():
            await asyncio.sleep(3)
        assert honest.refused == {}
        assert max(honest.percentiles().values()) < P95, honest.percentiles()
        await until_stored(honest)


def report(honest: Honest, attack: Attackers, pid: int) -> None:
    """For whoever looks at why it failed."""
    print(json.dumps(attack.answered), honest.percentiles(), {n: dict(s) for n, s in honest.statuses.items()})  # noqa: T201
    print({pid: peak(pid)} | {child: peak(child) for child in children_of(pid)}, os.getloadavg())  # noqa: T201
