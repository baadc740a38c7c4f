"""Buckets and samples by summaries, beside a plain reckoning over all points, while points come and builders die."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
import pytest

from datacosmos.domain import summaries
from datacosmos.domain.points import Point
from datacosmos.domain.series import EARLIEST, LATEST, from_datetime, to_datetime
from datacosmos.domain.summaries import DAY, MINUTE, PART, Parts
from datacosmos.store.mongo.connection import Database, client_of
from datacosmos.store.mongo.lease import Lease
from datacosmos.store.mongo.ranges import as_kept
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from datacosmos.store.summaries.checking import differences
from datacosmos.store.summaries.kinds import Kind, Level, Span
from datacosmos.store.summaries.parts import SummaryParts
from datacosmos.store.summaries.pieces import Pieces
from datacosmos.store.summaries.summaries import Summaries
from tests.some_points import named

MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 3 * 86_400_000  # milliseconds
SERIES = "datacosmos"


def some(chance: random.Random, numbers: "count[int]") -> list[Point]:
    """A batch: mostly of three days, else of ten minutes, so that they meet."""
    late = DAYS if chance.random() < 0.7 else 600_000
    return [
        at(f"p{next(numbers)}", chance.randrange(late), chance.gauss(0, 1000)) for _ in range(chance.choice([1, 5, 50]))
    ]


def at(identifier: str, milliseconds: int, value: float) -> Point:
    point = named(identifier)
    time = MIDNIGHT + timedelta(milliseconds=milliseconds)
    return replace(point, reading=replace(point.reading, time=time, value=value))


def reckoned(points: Sequence[Point], edges: Any, start: int, end: int) -> Parts:
    found = [
        (from_datetime(point.reading.time), point.id, point.reading.value) for point in points if point.reading.time
    ]
    inside = sorted((time, name, value) for time, name, value in found if start <= time <= end)
    t, v = np.array([time for time, _, _ in inside], np.int64), np.array([value for *_, value in inside], np.float64)
    return summaries.into_buckets(summaries.single(t, v), edges)


def question(chance: random.Random) -> tuple[Any, int, int]:
    """Edges, start and end: an hour of odd lengths, or days cut by the hour, or anywhere."""
    start = from_datetime(MIDNIGHT) + chance.randrange(-3_600_000, DAYS) * 1000
    end = start + chance.choice([chance.randrange(1, 10**8), chance.randrange(1, 2 * 10**11)]) // 1000 * 1000
    hours = np.arange(start // MINUTE // 60 + 1, end // MINUTE // 60 + 1) * 60 * MINUTE
    anywhere = np.array([chance.randrange(start, end + 1) for _ in range(chance.choice([1, 3, 50]))])
    inside = chance.choice([hours, anywhere, np.empty(0, np.int64)])
    return np.unique(np.concatenate([[start - start % MINUTE], inside, [end + 1]]).astype(np.int64)), start, end


async def store(stores: Stores, batch: Sequence[Point]) -> None:
    """As the writer does."""
    await stores.points.add(batch)
    await stores.summaries.note(batch)


async def agree(stores: Stores, points: Sequence[Point], edges: Any, start: int, end: int) -> None:
    found = await stores.summaries.gathered(SERIES, edges, start, end)
    expected = reckoned(points, edges, start, end)
    for name in PART.names or ():
        assert (found[name] == expected[name]).all(), name


class Killed(Exception):
    pass


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_in_between_an_answer_holds_each_point_that_was_acknowledged(
    stores: Stores, database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, numbers, points = random.Random(seed), count(), list[Point]()
    if seed % 2:
        await Builder(database, stores.summaries).build_older()
    put, builders = (
        SummaryParts.put,
        [Builder(database, stores.summaries), Builder(database, Summaries(database, stores.points))],
    )
    dies = False

    async def may_die(*arguments: Any) -> bool:
        if dies and chance.random() < 0.3:
            raise Killed
        return await put(*arguments)

    monkeypatch.setattr(SummaryParts, "put", may_die)

    async def stored() -> None:
        points.extend(batch := some(chance, numbers))
        await store(stores, batch)

    async def all_build() -> None:
        await asyncio.gather(*(builder.build() for builder in builders), return_exceptions=True)

    async def some_die() -> None:
        nonlocal dies
        dies = True
        await all_build()
        dies = False

    steps = [
        stored,
        lambda: store(stores, chance.sample(points, min(len(points), 5))),
        builders[0].build,
        builders[1].build_older,
        some_die,
        lambda: asyncio.gather(stored(), all_build()),
        lambda: agree(stores, points, *question(chance)),
    ]
    for _ in range(60):
        await chance.choice(steps)()
    await finished(builders[0])
    for _ in range(10):
        await agree(stores, points, *question(chance))


async def test_points_of_an_earlier_version_are_summarised_too(stores: Stores, database: Database) -> None:
    points = [*some(random.Random(1), count()), at("far", 40 * DAYS, 1.0), at("later", 40 * DAYS + 1, 2.0)]
    await stores.points.add(points)
    await finished(Builder(database, stores.summaries))
    start, end = from_datetime(MIDNIGHT), from_datetime(MIDNIGHT) + 50 * DAYS * 1000
    await database["points"].delete_many({})  # from here on there are summaries alone
    await agree(stores, points, np.array([start, end + 1]), start, end)
    assert await stores.summaries.names.source_of(SERIES) == points[0].reading.source


@pytest.mark.parametrize("is_older", [False, True])
async def test_points_at_both_ends_of_the_calendar_are_summarised(
    stores: Stores, database: Database, is_older: bool
) -> None:
    """The last day has no day after it, whose points could be looked for."""
    ends = (EARLIEST, -1, 0, LATEST // DAY * DAY, LATEST)
    made = [at(f"p{number}", 0, float(number)) for number in range(len(ends))]
    points = [
        replace(point, reading=replace(point.reading, time=as_kept(to_datetime(end))))
        for point, end in zip(made, ends, strict=True)
    ]
    await stores.points.add(points)
    if not is_older:
        await Builder(database, stores.summaries).build_older()
        await stores.summaries.note(points)
    async with asyncio.timeout(60):
        await finished(Builder(database, stores.summaries))
        assert [difference async for difference in differences(stores.summaries)] == []
    assert await stores.summaries.count(SERIES, EARLIEST, LATEST) == len(ends)
    await agree(stores, points, np.array([EARLIEST, 0, LATEST + 1]), EARLIEST, LATEST)


async def test_what_is_built_is_no_longer_read_point_by_point(stores: Stores, database: Database) -> None:
    points = [at(f"p{second}", second * 1000, second / 7) for second in range(4000)]
    await store(stores, points)
    await finished(Builder(database, stores.summaries))
    assert await database["marks"].count_documents({}) == 0
    await database["points"].delete_many({})
    start = from_datetime(MIDNIGHT)
    edges = start + np.array([0, 60, 3600, 3660, 7200]) * 1_000_000
    await agree(stores, points, edges, start, int(edges[-1]) - 1)


@pytest.mark.parametrize("most", [300, 10_000])
async def test_many_minutes_far_apart_are_read_in_few_commands_and_bounded_runs(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("datacosmos.store.summaries.pieces.MOST_RUNS", most)
    points = [at(f"p{number}", number * 120_000, float(number)) for number in range(700)]
    await Builder(database, stores.summaries).build_older()
    await store(stores, points)
    start = from_datetime(MIDNIGHT)
    edges = start + np.arange(0, 90, dtype=np.int64) * 1_000_000_000
    marked = await stores.summaries.marks.of(SERIES)
    assert len(marked) == 700
    assert len(Pieces.of(edges, start, int(edges[-1]) - 1, marked).runs) == min(most, 676)
    await agree(stores, points, edges, start, int(edges[-1]) - 1)


async def test_what_cannot_be_built_keeps_no_other_from_it(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = SummaryParts.put

    async def refuse(parts: SummaryParts, level: Level, built: Mapping[Span, Any]) -> bool:
        if any(key == "faulty" for key, _ in built):
            raise Killed
        return await put(parts, level, built)

    monkeypatch.setattr(SummaryParts, "put", refuse)
    monkeypatch.setattr("datacosmos.store.summaries.building.MOST_MARKS", 1)
    builder, sound = Builder(database, stores.summaries), at("sound", 0, 1.0)
    faulty = replace(at("faulty", 0, 2.0), reading=replace(sound.reading, series="faulty"))
    await builder.build_older()
    await store(stores, [faulty, sound])
    await store(stores, [at("later", 120_000, 1.0)])
    assert await builder.build() == 0
    assert len(await stores.summaries.marks.of(SERIES)) == 1
    assert await builder.build() == 1
    assert len(await stores.summaries.marks.of(SERIES)) == 0
    assert len(await stores.summaries.marks.of("faulty")) == 1
    monkeypatch.setattr(SummaryParts, "put", put)
    assert await builder.build() == 1
    assert [str(said) async for said in differences(stores.summaries)] == []


@pytest.mark.parametrize("are_faulty", [False, True])
async def test_of_many_minutes_only_some_are_built_at_once(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch, are_faulty: bool
) -> None:
    at_once = list[int]()
    build_days = Builder._build_days  # pyright: ignore[reportPrivateUsage]

    async def build(builder: Builder, kind: Kind, spans: Mapping[Span, set[int]]) -> None:
        at_once.append(sum(map(len, spans.values())))
        if are_faulty:
            raise Killed
        await build_days(builder, kind, spans)

    monkeypatch.setattr(Builder, "_build_days", build)
    monkeypatch.setattr("datacosmos.store.summaries.building.MOST_MINUTES", 2)
    builder = Builder(database, stores.summaries)
    await builder.build_older()
    for number in range(5):
        await store(stores, [at(f"p{number}", number * 60_000, float(number))])
    assert await builder.build() == (1 if are_faulty else 5)  # one mark tells of both
    assert at_once == ([2] if are_faulty else [2, 2, 1])


async def test_many_series_at_once_are_all_built_by_few_commands(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [
        replace(made, reading=replace(made.reading, series=f"series {number % 60}"))
        for number, made in enumerate(at(f"p{number}", number * 60_000, float(number)) for number in range(120))
    ]
    monkeypatch.setattr("datacosmos.store.summaries.marks.MOST_KEYS", 25)
    await Builder(database, stores.summaries).build_older()
    await store(stores, points)
    await database.command("profile", 2)
    assert await Builder(database, stores.summaries).catch_up() == 3
    await database.command("profile", 0)
    commands = await database["system.profile"].count_documents({"ns": f"{database.name}.summaries"})
    assert commands < 60
    assert await database["marks"].count_documents({}) == 0
    assert [str(said) async for said in differences(stores.summaries)] == []


async def test_a_lease_is_kept_by_whoever_works_for_long(stores: Stores, database: Database) -> None:
    async def until(name: str) -> Any:
        return (await database["leases"].find_one({"_id": name}) or {})["until"]

    for name, lasts in (("short", timedelta(milliseconds=4)), ("long", timedelta(hours=1))):
        lease = Lease(database, name, lasts)
        assert await lease.take()
        taken = await until(name)
        async with asyncio.timeout(20):
            while name == "short" and await until(name) == taken:
                await lease.keep()
        await lease.keep()
        assert (await until(name) == taken) is (name == "long")


async def test_what_earlier_versions_stored_is_built_from_where_it_was_cut_short(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datacosmos.store.summaries.older.DAYS_AT_ONCE", 1)
    await stores.points.add([at(f"p{day}", day * 86_400_000, float(day)) for day in range(3)])
    reach, reached = SummaryParts.reach, list[int]()

    async def cut_short(parts: SummaryParts, kind: Kind, series: str, day: int) -> None:
        await reach(parts, kind, series, day)
        reached.append(day)
        if len(reached) == 2:
            raise Killed

    monkeypatch.setattr(SummaryParts, "reach", cut_short)
    with pytest.raises(Killed):
        await Builder(database, stores.summaries).build_older()
    await Builder(database, stores.summaries).build_older()
    assert len(reached) == 3


async def test_one_builder_works_at_a_time_and_another_takes_over(stores: Stores, database: Database) -> None:
    one, other = Builder(database, stores.summaries), Builder(database, stores.summaries)
    await store(stores, [at("a", 0, 1.0)])
    assert await one.catch_up()
    await store(stores, [at("b", 1, 1.0)])
    assert await other.catch_up() is None
    past = datetime.now(UTC) - timedelta(seconds=1)
    await database["leases"].update_one({"_id": "summaries"}, {"$set": {"until": past}})
    assert await other.catch_up()


async def test_a_check_tells_each_minute_and_hour_that_differs_from_its_points(
    stores: Stores, database: Database
) -> None:
    await store(stores, [at("a", 0, 1.0), at("b", 3_600_000, 2.0)])
    await finished(Builder(database, stores.summaries))
    await store(stores, [at("marked", 120_000, 3.0)])
    assert [str(said) async for said in differences(stores.summaries)] == []
    await stores.points.add([at("unknown", 3_660_000, 3.0)])
    assert [str(said) async for said in differences(stores.summaries)] == [
        "datacosmos: the hour from 2024-03-01T01:00:00+00:00 on",
        "datacosmos: the minute from 2024-03-01T01:01:00+00:00 on",
    ]


@pytest.mark.parametrize(
    ("level", "change"),
    [
        ("hour", "counts"),
        ("hour", "is gone"),
        ("day", "counts"),
        ("day", "is gone"),
        ("hour", "is of points that are gone"),
    ],
)
async def test_what_differs_is_told_and_built_anew_once_it_is_marked(
    stores: Stores, database: Database, level: str, change: str
) -> None:
    await store(stores, [at("a", 0, 1.0), at("b", 30_000, 5.0), at("c", 3_600_000, 2.0)])
    await finished(Builder(database, stores.summaries))
    one: dict[str, Any] = {"_id.level": level}
    if change == "counts":
        broken = await database["summaries"].find_one(one)
        assert broken
        parts = np.frombuffer(broken["parts"], PART).copy()
        parts["n"] += 1
        await database["summaries"].update_one({"_id": broken["_id"]}, {"$set": {"parts": parts.tobytes()}})
    elif change == "is gone":
        await database["summaries"].delete_one(one)
    else:
        await database["points"].delete_many({"value": {"$ne": 2.0}})
    found = [difference async for difference in differences(stores.summaries)]
    assert found
    for difference in found:
        await stores.summaries.marks.add({difference.key: difference.minutes})
    start = from_datetime(MIDNIGHT)
    expected = 1 if change == "is of points that are gone" else 3
    for _ in range(2):  # marked, then built
        assert await stores.summaries.count(SERIES, start, start + 10**10) == expected
        await finished(Builder(database, stores.summaries))
    assert [difference async for difference in differences(stores.summaries)] == []


async def finished(builder: Builder) -> None:
    """Whoever has the lease."""
    await builder.build_older()
    while await builder.build():
        pass


async def test_points_of_a_chart_are_read_in_turns_with_the_lists(stores: Stores, database: Database) -> None:
    made = named("a")
    await stores.points.add([made])
    assert made.reading.time is not None
    assert made.reading.series is not None
    at, client = from_datetime(made.reading.time), client_of(database)
    async with aclosing(stores.summaries.times_and_values(made.reading.series, at, at)) as batches:
        await anext(batches)
        assert client.lists.held + client.long_lists.held == 1
    assert client.lists.held + client.long_lists.held == 0
