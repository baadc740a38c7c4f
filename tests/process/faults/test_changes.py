"""Subscribers of changes and all that they hear of, killed at random: none misses anything, and none hears it twice."""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import pytest

from datacosmos.domain.changes import Accepted, Discarded, Topic
from datacosmos.domain.points import Reason
from datacosmos.store.mongo.connection import connect
from tests.process.faults.account import mongodb_url
from tests.process.faults.group import Group, group
from tests.process.faults.senders import Batch, Sensors, record
from tests.process.faults.service import until, until_asked
from tests.process.faults.subscribers import Client, Subscriber, event_source, gql_websocket, graphql_sse, watch

log = logging.getLogger(__name__)
SENSORS = ("roof", "yard")
SERIES = tuple(f"sensors/{sensor}" for sensor in SENSORS)
TOPICS: tuple[Topic, ...] = (*map(Accepted, SERIES), Discarded(), Discarded(Reason.DUPLICATE))
CLIENTS: tuple[Client, ...] = (event_source, gql_websocket, graphql_sse)
LISTENING, JOINING = 12, 8
"""Subscribers that are there before anything is stored, and those who come later and read the past first."""
LONG_AGO = "2000-01-01T00:00:00Z"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
KILLS = int(os.environ.get("FAULTS_KILLS", "2"))  # in each third
VICTIMS = ("api", "mongod", "write")


class Readings:
    """Of a few sensors: late ones, and some that repeat another or are malformed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._sent: list[bytes] = []

    def batch(self) -> Batch:
        new = [self._new() for _ in range(self._chance.randrange(1, 12))]
        again = [self._chance.choice(self._sent + new) for _ in range(2)]
        self._sent += new
        records = [*new, *again, record(SENSORS[0], "hot")]
        self._chance.shuffle(records)
        return Batch(records, malformed=1, duplicates=len(again))

    def _new(self) -> bytes:
        days_late = self._chance.choice((0, 0, 0, 1, 30))
        time = FIRST + timedelta(seconds=len(self._sent), days=-days_late)
        return record(self._chance.choice(SENSORS), 90, time.isoformat())


@pytest.mark.timeout(120 + 60 * KILLS)
async def test_each_of_many_subscribers_gets_each_change_once_whatever_is_killed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    listeners = [Subscriber(client, topic) for client, topic in some(CLIENTS, LISTENING)]
    joiners = [Subscriber(client, topic, start=LONG_AGO) for client, topic in some(CLIENTS, JOINING)]
    watchers = [Subscriber(watch, topic, start=LONG_AGO, lifetime=20) for topic in (TOPICS[0], TOPICS[2])]
    everyone = [*listeners, *joiners, *watchers]
    async with group(tmp_path, "write", "api") as programs, asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(each.follow(programs, chance)) for each in listeners]
        await until(lambda: all(each.cursor for each in listeners))
        readings, sensors = Readings(chance), Sensors(programs.url)
        async with sending(sensors, readings, chance):
            await kill_some(programs, chance)
            following += [tasks.create_task(each.follow(programs, chance)) for each in (*joiners, *watchers)]
            await kill_some(programs, chance)
        before = await all_got(programs, sensors, everyone)
        await until(lambda: all(each.is_live for each in (*listeners, *joiners)))
        async with sending(sensors, readings, chance):
            await kill_some(programs, chance)
        await all_got(programs, sensors, everyone)
        for task in following:
            task.cancel()
    for topic in TOPICS:
        [order, *others] = [each.got for each in listeners if each.topic == topic]
        assert all(other == order for other in others)
        live = len(before[topic])
        assert all(each.got[live:] == order[live:] for each in joiners if each.topic == topic)


def some(clients: Sequence[Client], count: int) -> Iterator[tuple[Client, Topic]]:
    """Each with each, in turn."""
    return islice(cycle(product(clients, TOPICS)), count)


@asynccontextmanager
async def sending(sensors: Sensors, readings: Readings, chance: random.Random) -> AsyncGenerator[None]:
    """Batch after batch until the end of the block, each until it is taken."""
    ended = asyncio.Event()

    async def send() -> None:
        while not ended.is_set():
            await sensors.push(readings.batch())
            await asyncio.sleep(chance.uniform(0, 0.05))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        try:
            yield
        finally:
            ended.set()


async def kill_some(programs: Group, chance: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.2, 2))
        name = chance.choice(VICTIMS)
        log.warning("kill -9 of %s", name)
        await programs.kill(name)
        if name != "mongod":
            await programs.start(name)


async def all_got(programs: Group, sensors: Sensors, everyone: Sequence[Subscriber]) -> dict[Topic, Counter[str]]:
    """What is stored of each topic, once all that was sent is, and each has all of theirs, each once."""
    await until_stored(programs, sensors)
    wanted = await stored(programs)
    try:
        await until(lambda: all(len(each.got) >= wanted[each.topic].total() for each in everyone))
    finally:
        for each in everyone:
            got = Counter(each.got)
            missing, excess = wanted[each.topic] - got, got - wanted[each.topic]
            assert not missing | excess, f"{each.client.__name__} {each.topic}: {missing=} {excess=} {each.ends}"
    return wanted


async def until_stored(programs: Group, sensors: Sensors) -> None:
    async with connect(mongodb_url(programs), "datacosmos", timedelta(seconds=30)) as database:

        async def is_whole() -> bool:
            return await database["points"].count_documents({}) == sensors.sent.total()

        await until_asked(is_whole)


async def stored(programs: Group) -> dict[Topic, Counter[str]]:
    """The ids of what each topic has, as MongoDB itself tells."""
    found = {topic: Counter[str]() for topic in TOPICS}
    async with connect(mongodb_url(programs), "datacosmos", timedelta(seconds=30)) as database:
        async for point in database["points"].find({}, {"series": 1, "status": 1, "reasons": 1}):
            for topic in TOPICS:
                found[topic][point["_id"]] += has(topic, point)
    return {topic: +ids for topic, ids in found.items()}


def has(topic: Topic, point: dict[str, Any]) -> bool:
    if isinstance(topic, Accepted):
        return point["status"] == "accepted" and point["series"] == topic.series
    return point["status"] == "discarded" and (topic.reason is None or topic.reason in point["reasons"])
