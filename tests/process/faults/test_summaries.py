"""Buckets, read while mongod, the writer and what builds the summaries are killed again and again."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.process.faults.account import mongodb_url
from tests.process.faults.group import PATIENCE, Group, group
from tests.process.faults.senders import Batch, Sensors, record
from tests.programs import COMMAND, environment

KILLS = 6
HOURS, RECORDS, MALFORMED = 3, 40, 5
# As `serve` does, but without a rest, and without a lease that a killed one holds for a minute.
BUILDER = """
import asyncio, sys
from datetime import timedelta

from datacosmos.errors import StoreUnavailable
from datacosmos.store.mongo.connection import connect
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder

async def main() -> None:
    async with connect(sys.argv[1], "datacosmos", timedelta(seconds=2)) as database:
        builder = Builder(database, Stores.of(database).summaries)
        print("ready", flush=True)
        while True:
            try:
                await builder.build_older()
                await builder.build()
            except StoreUnavailable:
                pass
            await asyncio.sleep(0.01)

asyncio.run(main())
"""
CHART = """
query($interval: Duration!) {
  buckets(series: "sensors/a", start: "2019-06-24T00:00:00Z", end: "2019-06-24T23:59:59Z", interval: $interval) {
    count avg
  }
  discardBuckets(start: "2020-01-01T00:00:00Z", end: "2099-01-01T00:00:00Z", interval: "P1Y", source: "sensors") {
    byReason { reason count }
  }
}
"""


class Sender:
    """Pushes batch after batch, and counts what of them is acknowledged."""

    def __init__(self, programs: Group, chance: random.Random) -> None:
        self._programs, self._chance = programs, chance
        self._sensors = Sensors(programs.url)
        self._seconds = chance.sample(range(HOURS * 3600), HOURS * 3600)
        self.acknowledged: Counter[str] = Counter()

    async def work(self) -> None:
        while True:
            await self.push()

    async def push(self) -> None:
        times = [self._seconds.pop() for _ in range(RECORDS)]
        records = [record("a", at=f"2019-06-24T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}") for at in times]
        taken = await self._sensors.push(Batch([*records, *[record("a", "hot")] * MALFORMED]), counts=False)
        query = "query($id: ID!) { receipt(deliveryId: $id) { accepted discarded } }"
        async with asyncio.timeout(PATIENCE):
            while not (answer := await self._programs.ask(query, id=taken["deliveryId"])) or not answer["receipt"]:
                await asyncio.sleep(0.01)
        self.acknowledged.update(answer["receipt"])


async def chart(programs: Group, interval: str) -> Counter[str] | None:
    """What the buckets hold together; None while they can't be read."""
    answer = await programs.ask(CHART, interval=interval)
    if answer is None:
        return None
    filled = [bucket for bucket in answer["buckets"] if bucket["count"]]
    assert {round(bucket["avg"], 6) for bucket in filled} <= {32.222222}
    reasons = [each for bucket in answer["discardBuckets"] for each in bucket["byReason"]]
    assert {each["reason"] for each in reasons} <= {"MALFORMED"}
    return Counter(accepted=sum(bucket["count"] for bucket in filled), discarded=sum(each["count"] for each in reasons))


async def read(programs: Group, sender: Sender, chance: random.Random, answers: list[Any]) -> None:
    while True:
        before = sender.acknowledged.copy()
        found = await chart(programs, chance.choice(["PT1H", "PT1M", "PT7M", "P1D"]))
        if found is not None:
            assert found >= before, "an answer is without points that were acknowledged before"
            answers.append(found)


@asynccontextmanager
async def building(programs: Group) -> AsyncGenerator[list[Process]]:
    running: list[Process] = []
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            await process.wait()


async def start_builder(programs: Group, running: list[Process]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BUILDER, mongodb_url(programs), env=environment({}), stdout=PIPE
    )
    running.append(process)
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"


@pytest.mark.timeout(240)
async def test_whatever_is_killed_meanwhile_buckets_hold_what_was_acknowledged_before(
    tmp_path: Path, seed: int
) -> None:
    chance, answers = random.Random(seed), list[Any]()
    async with group(tmp_path, "api", "write") as programs, building(programs) as builders:
        for _ in range(2):
            await start_builder(programs, builders)
        sender = Sender(programs, chance)
        tasks = [asyncio.create_task(sender.work()), asyncio.create_task(read(programs, sender, chance, answers))]
        for kill in range(KILLS):
            await more(answers, tasks)
            victim = ("mongod", "builder", "write")[kill % 3]
            if victim == "builder":
                process = builders.pop(0)
                process.kill()
                await process.wait()
                await start_builder(programs, builders)
            else:
                await programs.kill(victim)
                if victim == "write":
                    await programs.start(victim)
        await more(answers, tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await sender.push()
        found = await chart(programs, "PT1H")
        assert found is not None
        assert found >= sender.acknowledged
        assert await checked(programs) == "0 minutes and hours differ from their points"


async def more(answers: list[Any], tasks: list[asyncio.Task[None]]) -> None:
    """Returns after some more answers, at a moment that nobody can foresee."""
    enough = len(answers) + 5
    async with asyncio.timeout(PATIENCE):
        while len(answers) < enough:
            for task in tasks:
                assert not task.done(), task.exception()
            await asyncio.sleep(0.01)


async def checked(programs: Group) -> str:
    variables = environment({"DATACOSMOS_MONGODB_URL": mongodb_url(programs)})
    process = await asyncio.create_subprocess_exec(*COMMAND, "summarise", "--check", env=variables, stderr=PIPE)
    _, said = await process.communicate()
    return said.decode().splitlines()[-1]
