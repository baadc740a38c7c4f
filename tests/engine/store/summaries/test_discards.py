"""Discards by reason, by their summaries, beside a plain count, while discards come, expire and builders die."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
import pytest

from datacosmos.domain.points import Point, Reason
from datacosmos.domain.series import from_datetime
from datacosmos.domain.summaries import HOUR
from datacosmos.store.mongo.connection import Database
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from datacosmos.store.summaries.checking import differences
from datacosmos.store.summaries.kinds import DISCARDS, DiscardsOf, Key
from datacosmos.store.summaries.marks import Marks
from datacosmos.store.summaries.parts import SummaryParts
from tests.some_points import ids, named, point

MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
SPAN = 2 * 86_400_000  # milliseconds
SOURCES, SERIES = ("data_server", "sensors"), ("a", "b", None)


def some(chance: random.Random, numbers: "count[int]", early: int = 0) -> list[Point]:
    late = early + 1 + (SPAN if chance.random() < 0.5 else 300_000)
    times = [chance.randrange(early, late) for _ in range(chance.choice([1, 5, 50]))]
    return [received(f"d{next(numbers)}", time, chance) for time in times]


def received(identifier: str, milliseconds: int, chance: random.Random) -> Point:
    reasons = sorted(chance.sample(list(Reason), chance.choice([1, 2])), key=list(Reason).index)
    at = MIDNIGHT + timedelta(milliseconds=milliseconds)
    return point(None, *reasons, at=at, id=identifier, source=chance.choice(SOURCES), series=chance.choice(SERIES))


async def store(stores: Stores, batch: Sequence[Point]) -> None:
    """As the writer does."""
    written = await stores.points.add(batch)
    there = set(written.redelivered)
    await stores.summaries.note(written.stored, [point for point in batch if point.id in there])


async def agree(stores: Stores, points: Sequence[Point], chance: random.Random) -> None:
    source, series = chance.choice([None, *SOURCES]), chance.choice([None, "a", "b", "none of that name"])
    start = from_datetime(MIDNIGHT) + chance.randrange(-3_600_000, SPAN) * 1000
    end = start + chance.choice([chance.randrange(10**8), chance.randrange(2 * 10**11)]) // 1000 * 1000
    step = chance.choice([1_000_000, 60_000_000, 3_600_000_000, 7_000_000_000])
    edges = np.arange(start // step * step, end + step + 1, step)
    expected: Counter[tuple[int, str]] = Counter()
    for each in points:
        at = from_datetime(each.received_at)
        if start <= at <= end and source in (None, each.reading.source) and series in (None, each.reading.series):
            expected[at // step - start // step, each.verdict.reasons[0].value] += 1
    found = await stores.summaries.discarded(source, series, edges, start, end)
    assert {(int(each["at"]), each["reason"].decode()): int(each["n"]) for each in found} == expected


class Killed(Exception):
    pass


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_in_between_each_discard_that_was_acknowledged_counts(
    stores: Stores, database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, numbers, points = random.Random(seed), count(), list[Point]()
    builders = [Builder(database, stores.summaries), Builder(database, Stores.of(database).summaries)]
    if seed % 2:
        await builders[0].build_older()
    put, dies, expired = SummaryParts.put, False, 0

    async def may_die(*arguments: Any) -> bool:
        if dies and chance.random() < 0.3:
            raise Killed
        return await put(*arguments)

    monkeypatch.setattr(SummaryParts, "put", may_die)

    async def stored() -> None:
        points.extend(batch := some(chance, numbers, expired))
        await store(stores, batch)

    async def all_build() -> None:
        await asyncio.gather(*(builder.build() for builder in builders), return_exceptions=True)

    async def some_die() -> None:
        nonlocal dies
        dies = True
        await all_build()
        dies = False

    async def expire() -> None:
        """As MongoDB does for a retention: the oldest first."""
        nonlocal expired
        points.sort(key=lambda point: point.received_at)
        oldest, points[:] = points[: len(points) // 10], points[len(points) // 10 :]
        await database["points"].delete_many({"_id": {"$in": ids(oldest)}})
        expired = max([expired, *((point.received_at - MIDNIGHT) // timedelta(milliseconds=1) for point in oldest)])

    steps = [
        stored,
        lambda: store(stores, chance.sample(points, min(len(points), 5))),
        builders[0].build,
        builders[1].catch_up,
        some_die,
        expire,
        lambda: asyncio.gather(stored(), all_build()),
        lambda: agree(stores, points, chance),
    ]
    for _ in range(60):
        await chance.choice(steps)()
    await finished(builders[0])
    for _ in range(10):
        await agree(stores, points, chance)
    assert [str(said) async for said in differences(stores.summaries)] == []


async def finished(builder: Builder) -> None:
    """Whoever has the lease."""
    await builder.build_older()
    while await builder.build():
        pass


async def test_what_is_built_is_no_longer_counted_one_by_one(stores: Stores, database: Database) -> None:
    chance = random.Random(0)
    batch = [received(f"d{hour}", hour * 3_600_000, chance) for hour in range(30)]
    await store(stores, batch)
    await finished(Builder(database, stores.summaries))
    await database["points"].delete_many({"_id": {"$in": [point.id for point in batch[20:]]}})
    start = from_datetime(MIDNIGHT)
    found = await stores.summaries.discarded(None, None, np.array([start, start + SPAN * 1000]), start, start + 10**11)
    assert found["n"].sum() == 28  # all that were received in these 100,000 s


async def test_discards_of_an_earlier_version_are_summarised_too(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datacosmos.store.summaries.older.DAYS_AT_ONCE", 1)
    chance, points = random.Random(2), list[Point]()
    for number in range(3):
        points.append(received(f"d{number}", number * 86_400_000, chance))
    await stores.points.add(points)
    await Builder(database, stores.summaries).catch_up()
    assert await stores.summaries.parts.are_complete(DISCARDS)
    reached = await stores.summaries.parts.reached(DISCARDS)
    assert reached == ("", from_datetime(MIDNIGHT) + 2 * 86_400_000_000)
    assert await database["marks"].count_documents({}) == 0
    assert [str(said) async for said in differences(stores.summaries)] == []
    for _ in range(10):
        await agree(stores, points, chance)


async def test_a_day_that_has_discards_of_many_series_is_marked_some_of_them_at_a_time(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datacosmos.store.summaries.older.DAYS_AT_ONCE", 2)
    points = [
        point(None, Reason.SYSTEM, at=MIDNIGHT + timedelta(days=number // 5), id=f"d{number}", series=f"s{number % 5}")
        for number in range(10)
    ]
    await stores.points.add(points)
    add, together = Marks.add, list[int]()

    async def noting(marks: Marks, minutes: Mapping[Key, Iterable[int]]) -> int:
        together.append(len(minutes))
        return await add(marks, minutes)

    monkeypatch.setattr(Marks, "add", noting)
    await Builder(database, stores.summaries).catch_up()
    assert max(together) == 2
    assert [str(said) async for said in differences(stores.summaries)] == []
    start = from_datetime(MIDNIGHT)
    await database["points"].update_many({}, {"$set": {"reason": "suspect"}})  # summaries know nothing of it
    found = await stores.summaries.discarded(None, None, np.array([start, start + 2 * 10**11]), start, start + 10**11)
    assert {each["reason"]: each["n"] for each in found} == {b"suspect": 5, b"system": 5}


async def test_a_duplicate_counts_as_one_also_when_it_comes_again(stores: Stores, database: Database) -> None:
    """It was accepted at receipt, so that what comes again doesn't say what it became."""
    await store(stores, [point(None, Reason.SYSTEM, at=MIDNIGHT)])  # the minute of the oldest is always read
    await Builder(database, stores.summaries).catch_up()
    points = [named("same"), named("same")]
    await stores.points.add(points)  # and nothing more: its writer was killed
    for _ in range(2):
        await store(stores, points)
    at = from_datetime(points[0].received_at) // HOUR * HOUR
    found = await stores.summaries.discarded(None, None, np.array([at, at + HOUR]), at, at + HOUR - 1)
    assert [(each["reason"], each["n"]) for each in found] == [(b"duplicate", 1)]
    assert len(await stores.summaries.marks.of(DiscardsOf("data_server", "datacosmos"))) == 1


async def test_summaries_of_what_a_retention_deleted_go_too(stores: Stores, database: Database) -> None:
    chance = random.Random(0)
    await store(stores, [received("old", 0, chance), received("young", SPAN, chance)])
    await finished(Builder(database, stores.summaries))
    await database["points"].delete_one({"_id": "old"})
    await Builder(database, stores.summaries).catch_up()
    begins = {each["_id"]["begin"] async for each in database["summaries"].find({"_id.begin": {"$exists": True}})}
    assert begins == {from_datetime(MIDNIGHT) + SPAN * 1000}


async def test_counts_are_read_from_an_index_alone(stores: Stores, database: Database) -> None:
    chance = random.Random(0)
    await store(stores, [received(f"d{number}", number, chance) for number in range(50)])
    await database.command("profile", 2)
    for series in (None, "a"):
        at = from_datetime(MIDNIGHT)
        await stores.summaries.discarded("sensors", series, np.array([at, at + SPAN * 1000]), at, at + SPAN * 1000 - 1)
    await database.command("profile", 0)
    found = [each async for each in database["system.profile"].find({"ns": f"{database.name}.points"})]
    assert len(found) == 4
    assert not any("FETCH" in each["planSummary"] or each["docsExamined"] for each in found)


async def test_a_check_tells_where_discards_differ_and_what_there_are_no_points_for(
    stores: Stores, database: Database
) -> None:
    def malformed(identifier: str, minutes: int) -> Point:
        at = MIDNIGHT + timedelta(minutes=minutes)
        return point(None, Reason.MALFORMED, at=at, id=identifier, source="sensors", series=None)

    await store(stores, [malformed("oldest", -1), malformed("a", 0), malformed("b", 61), named("gone")])
    await finished(Builder(database, stores.summaries))
    assert [str(said) async for said in differences(stores.summaries)] == []
    await stores.points.add([malformed("unknown", 1)])
    await database["points"].delete_one({"_id": {"$nin": ["oldest", "a", "b", "unknown"]}})
    assert [str(said) async for said in differences(stores.summaries)] == [
        "discards of sensors: the hour from 2024-03-01T00:00:00+00:00 on",
        "discards of sensors: the minute from 2024-03-01T00:01:00+00:00 on",
        "datacosmos: the hour from 2024-03-28T12:00:00+00:00 on",
        "datacosmos: the minute from 2024-03-28T12:00:00+00:00 on",
    ]
