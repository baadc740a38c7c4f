"""From the past to what is live, with commits at every moment between: each change once, and none missing."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import pytest
from bson import Timestamp
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.api.feed import reader, ring
from datacosmos.api.feed.feed import Feed
from datacosmos.api.feed.frames import Frame
from datacosmos.domain.changes import Accepted, Discarded, Topic
from datacosmos.domain.points import Point, Reason
from datacosmos.settings import Settings
from datacosmos.store.changes import past
from datacosmos.store.changes.changes import Changes
from datacosmos.store.changes.past import Page, SnapshotGone
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import NOON, SECOND, SECRET, point

SERIES = "datacosmos"
START = NOON + 5 * SECOND
Steps = Sequence[tuple[str, int]]
STEPS: st.SearchStrategy[Steps] = st.lists(
    st.tuples(st.sampled_from(["add", "add", "read", "read", "resume", "forget"]), st.integers(0, 15)), max_size=30
)


class Forgetful(Changes):
    """Changes whose snapshots are gone now and then."""

    forgets = False

    async def page(self, topic: Topic, behind: tuple[datetime, str], at: Timestamp | None = None) -> Page:
        if self.forgets and at is not None:
            self.forgets = False
            raise SnapshotGone
        return await super().page(topic, behind, at)


class Subscriber:
    """Reads frame by frame, and comes back with the last cursor."""

    def __init__(self, feed: Feed, topic: Topic) -> None:
        self._feed, self._topic = feed, topic
        self._frames: AsyncGenerator[Frame] | None = None
        self._cursor: str | None = None
        self.got: list[str] = []

    async def read(self) -> None:
        if self._frames is None:
            self._frames = self._feed.follow(self._topic, self._feed.place(self._topic, START, self._cursor))
        async with asyncio.timeout(10):
            frame = await anext(self._frames)
        self._cursor = frame.cursor
        self.got += [change.point.id for change in frame.changes]

    async def leave(self) -> None:
        if self._frames is not None:
            await self._frames.aclose()
            self._frames = None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two, a ring of three, and heartbeats whenever there is nothing else."""
    for name in ("POINTS", "DISCARDS"):
        monkeypatch.setattr(past, name, 2)
    monkeypatch.setattr(ring, "MOST_BATCHES", 3)
    monkeypatch.setattr(reader, "HEARTBEAT", 0.01)
    monkeypatch.setattr(reader, "SOON", 0.01)


@given(STEPS)
@example([("add", 12), ("resume", 0), ("read", 0)])  # what was committed meanwhile is in the part of the past to come
@example([("add", 3), ("forget", 0), ("read", 0)])  # and in the part that has been read
@examples(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("topic", [Accepted(SERIES), Discarded()], ids=["points", "discards"])
async def test_each_change_is_read_once_whatever_happens_when(
    settings: Settings, stores: Stores, database: Database, topic: Topic, steps: Steps
) -> None:
    await database["points"].delete_many({})
    changes = Forgetful(database)
    feed = Feed(settings, changes, SECRET)
    subscriber = Subscriber(feed, topic)
    stored = await add(stores.points, topic, range(0, 10, 2))
    # What was before the start, and before the reader came, is no part of it.
    wanted = {each.id for each in stored if time_of(topic, each) >= START}
    await subscriber.read()
    for step, second in steps:
        if step == "add":
            wanted |= {each.id for each in await add(stores.points, topic, [second])}
        elif step == "read":
            await subscriber.read()
        elif step == "resume":
            await subscriber.leave()
        else:
            changes.forgets = True
    [last] = await add(stores.points, topic, [random.randrange(16)])
    wanted.add(last.id)
    async with asyncio.timeout(20):
        while last.id not in subscriber.got or len(subscriber.got) < len(wanted):
            await subscriber.read()
    await subscriber.leave()
    assert Counter(subscriber.got) == Counter(wanted)


async def add(points: Points, topic: Topic, seconds: Sequence[int] | range) -> list[Point]:
    reasons = [Reason.SYSTEM] if isinstance(topic, Discarded) else []
    added = [point(NOON + n * SECOND, *reasons, at=NOON + n * SECOND) for n in seconds]
    await points.add(added)
    return added


def time_of(topic: Topic, point: Point) -> datetime:
    time = point.reading.time if isinstance(topic, Accepted) else point.received_at
    assert time is not None
    return time
