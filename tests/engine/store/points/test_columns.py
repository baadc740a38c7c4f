"""Columns are read from the bytes of a reply: they must hold what the documents do, however those look."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.domain.columns import NoColumns, Rows, columns_of
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.finding import Finder
from datacosmos.store.mongo.ranges import Position, Window
from datacosmos.store.points.points import Points
from datacosmos.store.points.queries import find

NOON = datetime(2024, 3, 28, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
EVERYTHING = Window()


async def store(database: Database, rows: list[tuple[Any, datetime, Any]]) -> None:
    documents = [
        {"_id": name, "series": "s", "status": "accepted", "time": time, "value": value} for name, time, value in rows
    ]
    await database["points"].insert_many(documents)


async def read(database: Database, *, batch: int = 1000, ids: bool = False) -> list[Rows]:
    """Of all of them, the infinite ones too."""
    command = find({"series": "s"}, "time", 0, batch, {"_id": int(ids), "time": 1, "value": 1})
    fields = ["_id", "time", "value"] if ids else ["time", "value"]
    return [found.rows(fields) async for found in Finder(database, "points").batches(command)]


def told(rows: list[Rows]) -> list[tuple[datetime, str]]:
    """Values as text: 0.0 and -0.0 are equal."""
    return [(time, str(value)) for some in rows for time, value in columns_of(some)]


def names(rows: list[Rows]) -> list[str]:
    return [name.decode() for some in rows for name in some.ids()]


TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
ROWS = st.lists(
    st.tuples(st.text(st.characters(codec="utf-8"), min_size=1, max_size=3), TIMES, st.floats()), max_size=60
)


@given(ROWS, st.sampled_from([1, 7, 11, 1000]), st.booleans())
@examples(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_columns_hold_what_was_stored(
    database: Database, rows: list[tuple[str, datetime, float]], batch: int, ids: bool
) -> None:
    await database["points"].delete_many({})
    stored = {name: (name, time, value) for name, time, value in rows if not name.endswith("\0")}
    if stored:
        await store(database, list(stored.values()))
    expected = sorted(stored.values(), key=lambda row: (row[1], row[0].encode()))
    columns = await read(database, batch=batch, ids=ids)
    assert told(columns) == [(time, str(value)) for _, time, value in expected]
    if ids:
        assert names(columns) == [name for name, *_ in expected]


@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 99, 100, 101, 1001])
async def test_any_number_of_them_is_whole(database: Database, number: int) -> None:
    rows = [(f"{n:05}", NOON + n * MILLISECOND, float(n)) for n in range(number)]
    if rows:
        await store(database, rows)
    for ids in (False, True):
        columns = await read(database, ids=ids)
        assert told(columns) == [(time, str(value)) for _, time, value in rows]
        if ids:
            assert names(columns) == [name for name, *_ in rows]


async def test_they_go_on_behind_a_position_that_shares_its_time(points: Points, database: Database) -> None:
    await store(database, [(f"{n:02}", NOON, float(n)) for n in range(90)])
    after = Position(NOON, "07")
    for limit in (5, 50):  # a table, and columns
        found = points.find_accepted("s", EVERYTHING, {"_id", "time", "value"}, limit=limit, after=after)
        read = [name.decode() async for some in found for name in some.ids()]
        assert read == [f"{n:02}" for n in range(8, 8 + limit)]


async def test_those_in_several_windows_are_read_apart_but_infinite_ones(points: Points, database: Database) -> None:
    rows = [(f"{n:02}", NOON + n * MILLISECOND, math.inf if n == 8 else float(n)) for n in range(30)]
    await store(database, rows)
    windows = [Window(*(NOON + n * MILLISECOND for n in ends)) for ends in ((20, 22), (7, 9))]
    found = [columns async for columns in points.columns("s", windows)]
    assert sorted(value for some in found for _, value in some) == [7, 9, 20, 21, 22]


@pytest.mark.parametrize("odd", [7, None, "text", math.nan])
@pytest.mark.parametrize("at", [0, 15, 29])
async def test_a_value_that_is_no_float_is_never_read_as_one(database: Database, odd: object, at: int) -> None:
    rows: list[tuple[str, datetime, Any]] = [(f"{n:02}", NOON + n * MILLISECOND, float(n)) for n in range(30)]
    rows[at] = (*rows[at][:2], odd)
    await store(database, rows)
    if isinstance(odd, float):
        assert told(await read(database)) == [(row[1], str(row[2])) for row in rows]
    else:
        with pytest.raises(NoColumns):
            told(await read(database))


@pytest.mark.parametrize("count", [2, 50, 500])
async def test_ids_that_end_with_a_zero_are_not_cut(database: Database, count: int) -> None:
    rows: list[tuple[str, datetime, Any]] = [(f"{n:03}\0", NOON + n * MILLISECOND, 1.0) for n in range(count)]
    await store(database, rows)
    assert names(await read(database, ids=True)) == [name for name, *_ in rows]


@pytest.mark.parametrize("count", [2, 50, 500])
async def test_a_field_that_none_of_them_has_is_never_read_as_another(database: Database, count: int) -> None:
    await store(database, [(f"{n:03}", NOON + n * MILLISECOND, float(n)) for n in range(count)])
    fields = ["_id", "time", "value", "duplicate_of"]
    command = find({"series": "s"}, "time", 0, 1000, dict.fromkeys(fields, 1))
    [rows] = [found.rows(fields) async for found in Finder(database, "points").batches(command)]
    assert rows.column("duplicate_of") == [None] * count
    assert rows.column("_id") == [f"{n:03}" for n in range(count)]
