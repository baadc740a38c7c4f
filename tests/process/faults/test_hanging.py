"""Whoever asks, and subscribers of changes, while MongoDB hangs: it takes connections, and answers nothing."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import pytest

from datacosmos.api.feed import reader, ring
from datacosmos.api.feed.feed import Feed
from datacosmos.domain.changes import Accepted, Place, Topic
from datacosmos.domain.minutes import Location
from datacosmos.domain.series import Samples
from datacosmos.engines import embedded_engines
from datacosmos.errors import StoreUnavailable, Unauthenticated
from datacosmos.settings import Settings
from datacosmos.store.changes import past
from datacosmos.store.mongo.connection import LONGEST, connect
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.stores import Stores
from tests.asking import NOON, SECOND, SECRET, point
from tests.processes import engine_pid

SERIES, OTHER = Accepted("datacosmos"), Accepted("other")
HEARTBEAT, LATE, ANSWER = 0.2, 1.0, 1.8
"""Seconds; an answer of MongoDB's is waited for so long that all is tried again while it hangs."""
BEATS = 25
FOUND = timedelta(seconds=1.5)


class Subscriber:
    """One who was told of some changes, and is to hear of the rest."""

    def __init__(self, feed: Feed, topic: Topic, place: Place | None, expires: float = inf) -> None:
        self._frames = feed.follow(topic, place, expires=expires)
        self.got: list[str] = []
        self.place = place

    async def hear(self, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            frame = await anext(self._frames)
        self.place = frame.place
        self.got += [change.point.id for change in frame.changes]

    async def longest_silence(self) -> float:
        """Before each of some heartbeats."""
        loop, silences = asyncio.get_running_loop(), list[float]()
        for _ in range(BEATS):
            begun = loop.time()
            await self.hear(60)
            silences.append(loop.time() - begun)
        return max(silences)

    async def hear_all(self, wanted: Sequence[str]) -> None:
        while len(self.got) < len(wanted):
            await self.hear()
        assert self.got == wanted

    async def leave(self) -> None:
        await self._frames.aclose()


@asynccontextmanager
async def hanging(pid: int) -> AsyncGenerator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    monkeypatch.setattr(reader, "HEARTBEAT", HEARTBEAT)
    async with embedded_engines(tmp_path, nats=False) as engines:
        yield str(engines.mongodb_url)


@asynccontextmanager
async def two_feeds(url: str, timeout: timedelta) -> AsyncGenerator[tuple[Stores, Feed, Feed]]:
    """As of two processes."""
    async with connect(url, "datacosmos", timeout) as database:
        stores = Stores.of(database)
        await stores.prepare()
        settings = Settings.model_validate({"_env_file": None})
        yield stores, Feed(settings, stores.changes, SECRET), Feed(settings, stores.changes, SECRET)


async def seconds_until_refused(ask: Callable[[], Awaitable[object]]) -> float:
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await ask()
    return time.monotonic() - begun


async def test_whoever_asks_is_refused_once_a_heartbeat_is_late(tmp_path: Path, url: str) -> None:
    async with two_feeds(url, FOUND) as (stores, feed, _):

        async def joined() -> None:
            await Subscriber(feed, SERIES, None).hear(60)

        location = Location(user_id="ada", sent=NOON, time=NOON, lat=1.0, long=2.0, accuracy=3.0, speed=None)
        listed = partial(stores.points.count_accepted, SERIES.series, Window())
        at_once = (listed, listed, joined, partial(stores.changes.page, SERIES, (NOON, "")))
        tried_again = (
            partial(stores.points.latest, [SERIES.series]),
            partial(stores.series.get, "s"),
            partial(stores.series.create, None, None, None, Samples(np.arange(9), np.zeros(9))),
            partial(stores.minutes.fold, location),
        )
        await listed()
        async with hanging(engine_pid(tmp_path, "mongod")):
            took = await asyncio.gather(*map(seconds_until_refused, (*at_once, *tried_again)))
        found = FOUND.total_seconds()
        assert max(took[: len(at_once)]) < found + LATE, took
        assert max(took) < 2 * found + LATE, took
        await listed()


async def test_heartbeats_come_on_time_whatever_is_waited_for_and_then_nothing_is_missing(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "POINTS", 2)
    monkeypatch.setattr(ring, "MOST_BATCHES", 2)
    async with two_feeds(url, timedelta(seconds=ANSWER / LONGEST)) as (stores, feed, another):
        live, slow = Subscriber(feed, SERIES, None), Subscriber(feed, SERIES, None)
        await live.hear()
        await slow.hear()
        begun = live.place
        stored = [point(NOON + n * SECOND) for n in range(6)]
        ids = [each.id for each in stored]
        for n, each in enumerate(stored):
            await stores.points.add([each])
            await live.hear_all(ids[: n + 1])
        old = Subscriber(feed, SERIES, feed.place(SERIES, NOON, None))
        await old.hear()
        behind, joining = Subscriber(feed, SERIES, begun), Subscriber(feed, OTHER, begun)
        first = Subscriber(another, SERIES, begun)
        subscribers = (live, slow, old, behind, joining, first)
        async with hanging(engine_pid(tmp_path, "mongod")):
            silences = await asyncio.gather(*(each.longest_silence() for each in subscribers))
            assert max(silences) < HEARTBEAT + LATE, silences
        for each in (live, slow, old, behind, first):
            await each.hear_all(ids)
        for each in subscribers:
            await each.leave()


async def test_a_stop_and_the_end_of_a_token_end_what_waits(tmp_path: Path, url: str) -> None:
    async with two_feeds(url, timedelta(seconds=10)) as (_, feed, another):
        other = Subscriber(another, OTHER, None)
        await other.hear()
        async with hanging(engine_pid(tmp_path, "mongod")):
            stopped = Subscriber(feed, SERIES, other.place)
            expired = Subscriber(another, SERIES, other.place, expires=time.time() + 2 * HEARTBEAT)
            await stopped.hear()
            feed.stop()
            await stopped.hear()
            assert stopped.place == other.place
            with pytest.raises(StopAsyncIteration):
                await stopped.hear()
            with pytest.raises(Unauthenticated):
                while True:
                    await expired.hear()
            await other.leave()
