import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.domain.columns import Columns
from datacosmos.domain.points import Point, Reason
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.ranges import Position, Window, as_kept
from datacosmos.store.points.points import Points
from tests.pages import whole
from tests.some_points import (
    EVERYTHING,
    MICROSECOND,
    MILLISECOND,
    NOON,
    SECOND,
    SERIES,
    accepted,
    discards,
    ids,
    point,
)

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


async def test_a_bound_is_compared_at_the_millisecond_that_is_stored(points: Points) -> None:
    await points.add(batch := [point(NOON + 700 * MICROSECOND), point(NOON + MILLISECOND)])
    names = ids(batch)
    assert await accepted(points, Window(start=NOON + 900 * MICROSECOND)) == names
    assert await accepted(points, Window(start=NOON - MICROSECOND)) == names
    assert await accepted(points, Window(end=NOON + MILLISECOND - MICROSECOND)) == names[:1]
    assert await accepted(points, Window(end=NOON - MICROSECOND)) == []
    assert await accepted(points, Window(NOON + MICROSECOND, NOON + 2 * MICROSECOND)) == names[:1]


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1, max_size=8))
@examples(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_was_sent_is_found_by_the_time_it_was_sent_with(
    points: Points, database: Database, times: list[datetime]
) -> None:
    await database["points"].delete_many({})
    await points.add(batch := [point(time) for time in times])
    for sent in batch:
        time = sent.reading.time
        assert sent.id in await accepted(points, Window(time, time))
        here = as_kept(time or NOON)
        found = [page async for page in points.accepted(SERIES, Window(start=time), limit=9, after=Position(here, ""))]
        assert sent.id in {each.id for page in found for each in page}


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
    assert [row async for page in points.columns(SERIES, [EVERYTHING], batch=5) for row in page] == [(NOON, 0.5)]


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
    streamed = [page async for page in points.columns(SERIES, [Window(NOON, NOON + 22 * SECOND)], batch=10)]
    assert [len(page) for page in streamed] == [10, 13]
    assert [row for page in streamed for row in page] == [(NOON + n * SECOND, float(n)) for n in range(23)]


async def test_a_stream_that_is_left_early_leaves_no_cursor_open(points: Points, database: Database) -> None:
    await points.add([point(NOON + n * SECOND) for n in range(50)])
    before = await open_cursors(database)
    stream = points.columns(SERIES, [EVERYTHING], batch=5)
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
    for step in await profile(database, exhaust(points.columns(SERIES, [window], batch=20))):
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
