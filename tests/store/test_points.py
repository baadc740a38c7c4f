import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.domain.columns import Columns
from datacosmos.domain.points import Point, Reading, Reason, Status, Verdict
from datacosmos.store.connection import Database
from datacosmos.store.points import Points
from datacosmos.store.ranges import Position, Window
from tests.pages import whole

NOON = datetime(2024, 3, 28, 12, tzinfo=UTC)
SECOND, MILLISECOND, MICROSECOND = timedelta(seconds=1), timedelta(milliseconds=1), timedelta(microseconds=1)
SERIES = "datacosmos"
EVERYTHING = Window()
IDS = (f"id-{number:06}" for number in count())


def point(time: datetime | None = NOON, *reasons: Reason, at: datetime = NOON, **changes: Any) -> Point:
    reading = Reading(source="data_server", series=SERIES, time=time, value=0.5, raw=b"{}")
    reading = replace(reading, **{key: value for key, value in changes.items() if key != "id"})
    return Point(id=changes.get("id", next(IDS)), reading=reading, verdict=Verdict(reasons), received_at=at)


def named(identity: str, **changes: Any) -> Point:
    return point(identity=identity, **changes)


def ids(points: Sequence[Point]) -> list[str]:
    return [stored.id for stored in points]


async def everything(database: Database) -> dict[str, dict[str, Any]]:
    return {document["_id"]: document async for document in database["points"].find()}


async def accepted(points: Points, window: Window = EVERYTHING) -> list[str]:
    return ids(await whole(points.accepted(SERIES, window, limit=10_000)))


async def discards(points: Points, reason: Reason | None = None, window: Window = EVERYTHING) -> list[str]:
    return ids(await whole(points.discards(reason, window, limit=10_000)))


# What is kept


async def test_a_point_comes_back_as_it_was_stored(points: Points) -> None:
    good = point(tags=("a", "", "\x00", "\U0001f600"), value=-0.952314019203186, raw=b'{"x": 1}', identity="s/1")
    bad = point(None, Reason.MALFORMED, Reason.SYSTEM, value=None, tags=("system",), raw=b"\xff\x00")
    written = await points.add([good, bad])
    assert (ids(written.stored), written.redelivered, written.refused) == ([good.id, bad.id], [], {})
    without_raw = replace(good, reading=replace(good.reading, raw=b""))
    assert await whole(points.accepted(SERIES, EVERYTHING, limit=10)) == [without_raw]
    assert await whole(points.discards(None, EVERYTHING, limit=10)) == [bad]


@given(st.lists(st.binary(max_size=100), max_size=5))
@examples(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_raw_bytes_survive_whatever_they_are(points: Points, raws: list[bytes]) -> None:
    batch = [point(None, Reason.MALFORMED, raw=raw) for raw in [*raws, bytes(range(256)) * 256]]
    await points.add(batch)
    stored = {kept.id: kept.reading.raw for kept in await whole(points.discards(None, EVERYTHING, limit=10_000))}
    assert [stored[each.id] for each in batch] == [each.reading.raw for each in batch]


async def test_the_ends_of_the_calendar_and_of_floats_survive(points: Points) -> None:
    times = [datetime.min.replace(tzinfo=UTC), NOON, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    values = [-0.0, math.ldexp(1, -149), 3.4028234663852886e38]
    await points.add([point(time, value=value) for time, value in zip(times, values, strict=True)])
    stored = await whole(points.accepted(SERIES, EVERYTHING, limit=10))
    assert [kept.reading.time for kept in stored] == times
    assert [str(kept.reading.value) for kept in stored] == [str(value) for value in values]


async def test_several_points_may_share_a_time_and_a_value(points: Points) -> None:
    await points.add(batch := [point() for _ in range(3)])
    assert await accepted(points) == ids(batch)


async def test_an_empty_batch_is_no_fault(points: Points) -> None:
    assert (await points.add([])).stored == []


# Redelivery and identity


async def test_a_redelivery_changes_nothing(points: Points, database: Database) -> None:
    batch = [named("a"), named("a"), point(), point(None, Reason.MALFORMED, Reason.SUSPECT)]
    await points.add(batch)
    before = await everything(database)
    for again in (batch, batch[::-1], batch[1:2]):
        written = await points.add(again)
        assert (written.stored, sorted(written.redelivered)) == ([], sorted(ids(again)))
    assert await everything(database) == before


async def test_a_batch_of_which_half_was_stored_is_completed(points: Points, database: Database) -> None:
    batch = [point() for _ in range(6)]
    await points.add(batch[::2])
    written = await points.add(batch)
    assert (ids(written.stored), written.redelivered) == (ids(batch[1::2]), ids(batch[::2]))
    assert list(await everything(database)) == ids(batch[::2]) + ids(batch[1::2])


async def test_a_redelivery_says_nothing_new_even_when_its_content_differs(points: Points) -> None:
    await points.add([first := point(value=1.0)])
    await points.add([replace(first, reading=replace(first.reading, value=2.0))])
    (stored,) = await whole(points.accepted(SERIES, EVERYTHING, limit=10))
    assert stored.reading.value == 1.0


@pytest.mark.parametrize("cut", [1, 4])
async def test_of_equal_identities_the_first_wins_and_the_others_refer_to_it(
    points: Points, database: Database, cut: int
) -> None:
    """Within a batch, and across batches."""
    batch = [named("a", value=float(number)) for number in range(4)]
    written = [each for part in (batch[:cut], batch[cut:]) for each in (await points.add(part)).stored]
    winner, *losers = batch
    assert await accepted(points) == [winner.id]
    assert await discards(points, Reason.DUPLICATE) == ids(losers)
    stored = await everything(database)
    assert {stored[loser.id]["duplicate_of"] for loser in losers} == {winner.id}
    assert {each.id: each.verdict.reasons for each in written} == {
        winner.id: (),
        **{loser.id: (Reason.DUPLICATE,) for loser in losers},
    }


async def test_of_equal_identities_that_are_stored_at_once_exactly_one_wins(points: Points, database: Database) -> None:
    batches = [[named(f"sensor/{number}") for number in range(20)] for _ in range(8)]
    for batch in batches:
        random.Random(1).shuffle(batch)
    await asyncio.gather(*(points.add(batch) for batch in batches))
    stored = await everything(database)
    winners = {each["identity"]: key for key, each in stored.items() if each["status"] == Status.ACCEPTED}
    assert len(stored) == 160
    assert len(winners) == 20
    for document in stored.values():
        if document["status"] == Status.DISCARDED:
            assert document["duplicate_of"] == winners[document["identity"]]
            assert document["reason"] == Reason.DUPLICATE


async def test_an_identity_is_one_series_at_one_time(points: Points) -> None:
    """Times that fall into one millisecond are one; the identity itself tells finer ones apart."""
    several = [named("a"), named("a", series="other"), named("a", time=NOON + SECOND), named("b", time=NOON)]
    await points.add(several)
    again = [named("a", time=NOON + SECOND + MICROSECOND), named("a", time=NOON + 999 * MICROSECOND)]
    written = await points.add(again)
    assert len(await whole(points.accepted(SERIES, EVERYTHING, limit=10))) == 3
    assert await discards(points) == ids(again) == ids(written.stored)


async def test_duplicates_at_several_times_each_refer_to_the_winner_of_their_own(
    points: Points, database: Database
) -> None:
    winners = [named("a", time=NOON + n * SECOND + MICROSECOND) for n in range(4)]
    losers = [named("a", time=NOON + n * SECOND + 2 * MICROSECOND) for n in range(4)]
    await points.add(winners)
    await points.add(losers)
    stored = await everything(database)
    assert [stored[loser.id]["duplicate_of"] for loser in losers] == ids(winners)


async def test_a_discarded_first_attempt_blocks_nobody(points: Points) -> None:
    for reason in (Reason.MALFORMED, Reason.SUSPECT):
        await points.add([point(NOON, reason, identity="a")])
    await points.add([good := named("a")])
    assert await accepted(points) == [good.id]


async def test_a_discard_is_no_duplicate(points: Points) -> None:
    await points.add([named("a"), late := point(NOON, Reason.TOO_OLD, identity="a")])
    (stored,) = await whole(points.discards(None, EVERYTHING, limit=10))
    assert stored == late


# What can't be written


SMUGGLED: dict[str, Callable[[], Point]] = {
    "a lone surrogate in a tag": lambda: point(tags=("\ud800",)),
    "a lone surrogate in the series": lambda: point(series="\udfff"),
    "a lone surrogate in the identity": lambda: named("\ud800"),
    "an integer beyond 64 bits": lambda: point(value=2**64),
    "a time before the calendar": lambda: point(datetime.min.replace(tzinfo=timezone(SECOND))),
    "what MongoDB has no type for": lambda: point(value=1j),
    "more than a document may hold": lambda: point(raw=bytes(17 * 1024 * 1024)),
}


@pytest.mark.parametrize("smuggled", SMUGGLED)
@pytest.mark.parametrize("place", [0, 4, 8])
async def test_what_can_not_be_written_is_refused_alone(points: Points, smuggled: str, place: int) -> None:
    good = [named(f"sensor/{number}") for number in range(8)]
    bad = SMUGGLED[smuggled]()
    written = await points.add([*good[:place], bad, *good[place:]])
    assert ids(written.stored) == await accepted(points) == ids(good)
    assert list(written.refused) == [bad.id]
    assert 0 < len(written.refused[bad.id]) < 500


async def test_several_that_can_not_be_written_are_refused_each(points: Points) -> None:
    bad = [SMUGGLED["a lone surrogate in a tag"](), SMUGGLED["an integer beyond 64 bits"]()]
    good = [point(), named("a"), named("a")]
    written = await points.add([good[0], bad[0], good[1], bad[1], good[2]])
    assert sorted(ids(written.stored)) == sorted(ids(good))
    assert list(written.refused) == ids(bad)


# Ranges


@pytest.mark.parametrize("unit", [SECOND, MILLISECOND])
async def test_a_range_includes_both_its_ends(points: Points, unit: timedelta) -> None:
    await points.add(batch := [point(NOON + n * unit) for n in range(5)])
    names = ids(batch)
    assert await accepted(points, Window(NOON + unit, NOON + 3 * unit)) == names[1:4]
    assert await accepted(points, Window(start=NOON + 3 * unit)) == names[3:]
    assert await accepted(points, Window(end=NOON + unit)) == names[:2]
    assert await accepted(points, Window(NOON + unit, NOON + unit)) == names[1:2]
    assert await accepted(points, Window(NOON + 3 * unit, NOON + unit)) == []


async def test_a_bound_between_two_milliseconds_lets_in_nothing_from_outside(points: Points) -> None:
    await points.add(batch := [point(NOON), point(NOON + MILLISECOND)])
    names = ids(batch)
    assert await accepted(points, Window(start=NOON + MICROSECOND)) == names[1:]
    assert await accepted(points, Window(start=NOON + MILLISECOND - MICROSECOND)) == names[1:]
    assert await accepted(points, Window(start=NOON - MICROSECOND)) == names
    assert await accepted(points, Window(end=NOON + MILLISECOND - MICROSECOND)) == names[:1]
    assert await accepted(points, Window(end=NOON - MICROSECOND)) == []
    assert await accepted(points, Window(NOON + MICROSECOND, NOON + 2 * MICROSECOND)) == []


async def test_the_widest_bounds_are_no_fault(points: Points) -> None:
    await points.add([only := point()])
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert await accepted(points, Window(first, last)) == [only.id]
    assert await accepted(points, Window(last, last)) == []
    assert await accepted(points, Window(first, first)) == []


async def test_a_bound_is_an_instant_whatever_its_offset(points: Points) -> None:
    await points.add([point(NOON - SECOND), at_noon := point(NOON), point(NOON + SECOND)])
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert await accepted(points, Window(there, there)) == [at_noon.id]


async def test_a_series_is_read_alone_and_without_its_discards(points: Points) -> None:
    await points.add([point(series="other"), point(NOON, Reason.SYSTEM), mine := point()])
    assert await accepted(points) == [mine.id]
    assert [row async for page in points.columns(SERIES, EVERYTHING, batch=5) for row in page] == [(NOON, 0.5)]


# Discards


async def test_discards_are_found_by_any_of_their_reasons(points: Points) -> None:
    system = point(NOON, Reason.SYSTEM)
    both = point(NOON, Reason.MALFORMED, Reason.SYSTEM)
    await points.add([system, point(), both])
    assert await discards(points) == ids([system, both])
    assert await discards(points, Reason.SYSTEM) == ids([system, both])
    assert await discards(points, Reason.MALFORMED) == [both.id]
    assert await discards(points, Reason.SUSPECT) == []


async def test_discards_are_ordered_and_bounded_by_when_they_were_received(points: Points) -> None:
    batch = [point(NOON - n * SECOND, Reason.SYSTEM, at=NOON + n * SECOND) for n in range(5)]
    await points.add(batch[::-1])
    window = Window(NOON + SECOND, NOON + 3 * SECOND)
    assert await discards(points) == ids(batch)
    assert await discards(points, None, window) == await discards(points, Reason.SYSTEM, window) == ids(batch[1:4])


# Pages


async def pages(points: Points, window: Window, size: int, between: Iterator[Sequence[Point]]) -> list[str]:
    """All pages, one after the other, with a batch stored after each."""
    seen: list[str] = []
    after = None
    while page := await whole(points.accepted(SERIES, window, limit=size, after=after)):
        assert len(page) <= size
        seen += ids(page)
        assert page[-1].reading.time is not None
        after = Position(page[-1].reading.time, page[-1].id)
        await points.add(next(between, ()))
    return seen


MOMENTS = st.datetimes(NOON.replace(tzinfo=None), (NOON + 8 * MILLISECOND).replace(tzinfo=None), timezones=st.just(UTC))
WINDOWS = st.builds(Window, st.none() | MOMENTS, st.none() | MOMENTS)


@given(
    st.lists(MOMENTS, max_size=20),
    st.lists(st.lists(MOMENTS, min_size=1, max_size=5), max_size=4),
    WINDOWS,
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
@examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_neither_skip_nor_repeat_a_point_while_others_arrive(
    points: Points,
    database: Database,
    first: list[datetime],
    later: list[list[datetime]],
    window: Window,
    size: int,
    order: random.Random,
) -> None:
    await database["points"].delete_many({})
    names = [f"{number:02}" for number in range(40)]
    order.shuffle(names)
    fresh = iter(names)
    before = [point(time, id=next(fresh)) for time in first]
    arriving = [[point(time, id=next(fresh)) for time in batch] for batch in later]
    await points.add(before)

    seen = await pages(points, window, size, iter(arriving))

    expected = in_range(before, window)
    assert [each for each in seen if each in set(ids(before))] == expected
    assert len(seen) == len(set(seen))
    every = in_range([*before, *(each for batch in arriving for each in batch)], window)
    assert seen == [each for each in every if each in set(seen)]


def in_range(points: Sequence[Point], window: Window) -> list[str]:
    """By a sorted list: times in whole milliseconds, both ends inclusive."""
    keyed = [(whole_milliseconds(each.reading.time), each.id) for each in points if each.reading.time]
    first, last = window.start or datetime.min.replace(tzinfo=UTC), window.end or datetime.max.replace(tzinfo=UTC)
    inside = [key for key in keyed if first <= key[0] <= last]
    return [name for _, name in sorted(inside)]


def whole_milliseconds(time: datetime) -> datetime:
    return time - time.microsecond % 1000 * MICROSECOND


async def test_a_page_after_a_position_stays_within_the_window(points: Points) -> None:
    await points.add(batch := [point(NOON + n * SECOND) for n in range(6)])
    names, window = ids(batch), Window(NOON + SECOND, NOON + 3 * SECOND)

    async def after(time: datetime, name: str) -> list[str]:
        return ids(await whole(points.accepted(SERIES, window, limit=10, after=Position(time, name))))

    assert await after(NOON, names[0]) == names[1:4]
    assert await after(NOON + SECOND, names[1]) == names[2:4]
    assert await after(NOON + 3 * SECOND, names[3]) == []
    assert await after(NOON + 5 * SECOND, names[5]) == []


async def test_pages_of_discards_go_on_where_the_last_one_ended(points: Points) -> None:
    batch = [point(NOON, Reason.SYSTEM, at=NOON + n // 3 * SECOND) for n in range(8)]
    await points.add(batch)
    seen: list[str] = []
    after = None
    while page := await whole(points.discards(Reason.SYSTEM, EVERYTHING, limit=3, after=after)):
        seen += ids(page)
        after = Position(page[-1].received_at, page[-1].id)
    assert seen == ids(batch)


# The stream of values


async def test_values_stream_in_order_in_batches_that_grow(points: Points) -> None:
    batch = [point(NOON + n * SECOND, value=float(n)) for n in range(25)]
    await points.add(random.Random(3).sample(batch, 25))
    streamed = [page async for page in points.columns(SERIES, Window(NOON, NOON + 22 * SECOND), batch=10)]
    assert [len(page) for page in streamed] == [10, 13]
    assert [row for page in streamed for row in page] == [(NOON + n * SECOND, float(n)) for n in range(23)]


async def test_a_stream_that_is_left_early_leaves_no_cursor_open(points: Points, database: Database) -> None:
    await points.add([point(NOON + n * SECOND) for n in range(50)])
    before = await open_cursors(database)
    stream = points.columns(SERIES, EVERYTHING, batch=5)
    await anext(stream)
    assert await open_cursors(database) == before + 1
    await stream.aclose()
    assert await open_cursors(database) == before


async def open_cursors(database: Database) -> int:
    status = await database.client.admin.command("serverStatus")
    return int(status["metrics"]["cursor"]["open"]["total"])


# Indexes


async def many(points: Points) -> None:
    kinds = [(), (Reason.SYSTEM,), (Reason.MALFORMED, Reason.SUSPECT)]
    await points.add(
        [
            point(NOON + n * SECOND, *kinds[n % 3], at=NOON + n * SECOND, series=series)
            for n in range(300)
            for series in (SERIES, "other")
        ]
    )


async def profile(database: Database, asked: Coroutine[Any, Any, object]) -> list[dict[str, Any]]:
    """What MongoDB did for a question, as its own profiler tells."""
    await database.command("profile", 2)
    await asked
    await database.command("profile", 0)
    where = {"ns": f"{database.name}.points", "op": {"$in": ["query", "getmore"]}}
    steps = await database["system.profile"].find(where).to_list(None)
    assert steps
    return steps


async def exhaust(stream: AsyncGenerator[Columns]) -> None:
    assert sum([len(page) async for page in stream]) == 51


async def test_a_range_of_time_and_value_is_read_from_the_index_alone(points: Points, database: Database) -> None:
    await many(points)
    window = Window(NOON + 60 * SECOND, NOON + 210 * SECOND)
    for step in await profile(database, exhaust(points.columns(SERIES, window, batch=20))):
        assert step["docsExamined"] == 0
        assert step["keysExamined"] <= 52
        assert not step.get("hasSortStage")


LAST = Position(NOON + 90 * SECOND, "id")
PAGES: dict[str, Callable[[Points], Coroutine[Any, Any, object]]] = {
    "points": lambda points: whole(points.accepted(SERIES, EVERYTHING, limit=10)),
    "points in a range": lambda points: whole(points.accepted(SERIES, Window(NOON, NOON + 200 * SECOND), limit=10)),
    "points after a position": lambda points: whole(points.accepted(SERIES, EVERYTHING, limit=10, after=LAST)),
    "discards": lambda points: whole(points.discards(None, EVERYTHING, limit=10)),
    "discards after a position": lambda points: whole(points.discards(None, EVERYTHING, limit=10, after=LAST)),
    "discards by reason": lambda points: whole(points.discards(Reason.SUSPECT, Window(start=NOON), limit=10)),
    "discards by reason after a position": lambda points: whole(
        points.discards(Reason.SUSPECT, EVERYTHING, limit=10, after=LAST)
    ),
}


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_reads_no_more_than_it_holds_and_sorts_nothing(
    points: Points, database: Database, page: str
) -> None:
    await many(points)
    steps = await profile(database, PAGES[page](points))
    assert not any(step.get("hasSortStage") for step in steps)
    assert sum(step["nreturned"] for step in steps) == 10
    assert sum(step["docsExamined"] for step in steps) <= 12


async def retention(database: Database) -> dict[str, Any] | None:
    return (await database["points"].index_information()).get("retention")


async def test_the_retention_of_discards_follows_the_setting(points: Points, database: Database) -> None:
    assert await retention(database) is None
    for duration, seconds in [(3600 * SECOND, 3600), (7200 * SECOND, 7200), (MILLISECOND, 1)]:
        for _ in range(2):
            await points.keep_discards_for(duration)
            index = await retention(database)
            assert index is not None
            assert index["expireAfterSeconds"] == seconds
            assert index["partialFilterExpression"] == {"status": "discarded"}
    await points.keep_discards_for(None)
    assert await retention(database) is None


async def test_the_longest_retention_that_can_be_set_is_no_fault(points: Points, database: Database) -> None:
    await points.keep_discards_for(timedelta.max)
    assert await retention(database) is not None


async def test_several_processes_may_prepare_at_once(points: Points, database: Database) -> None:
    for duration in (3600 * SECOND, None, 7200 * SECOND, 60 * SECOND):
        await asyncio.gather(*(points.keep_discards_for(duration) for _ in range(5)))
        assert bool(await retention(database)) == bool(duration)
