import asyncio
import math
import random
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.domain import metrics, series
from datacosmos.domain.series import CHUNK, MAX_NAMES, Samples
from datacosmos.errors import NameTaken, Overloaded, SeriesGone, StoreUnavailable, TooManyNames
from datacosmos.store.mongo.connection import Database, connect
from datacosmos.store.mongo.transactions import Conflict, Session, transaction
from datacosmos.store.series import appends, creations, targets
from datacosmos.store.series import series as store_series
from datacosmos.store.series.chunks import ENTRY, PAGE, entry_ids
from datacosmos.store.series.commits import FOLDS
from datacosmos.store.series.roots import FRESH, Snapshot
from datacosmos.store.series.series import EVERYONE, SeriesStore

AT_ONCE = timedelta(0)
ME, YOU = "me", "you"
# Less than a chunk, more than one, and around each border.
LENGTHS = [0, 1, FRESH, FRESH + 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5]


@pytest.fixture
async def store(database: Database) -> SeriesStore:
    store = SeriesStore(database)
    await store.prepare()
    return store


def samples(count: int, start: int = 0, step: int = 10, v: float | None = None) -> Samples:
    t = np.arange(start, start + count * step, step, dtype=np.int64)
    return Samples(t, np.sin(t.astype(np.float64)) + 1e9 if v is None else np.full(count, v, np.float64))


def pairs(some: Samples) -> list[tuple[int, float]]:
    return list(zip(some.t.tolist(), some.v.tolist(), strict=True))


def of(points: Sequence[tuple[int, float]]) -> Samples:
    return Samples(np.array([t for t, _ in points], np.int64), np.array([v for _, v in points], np.float64))


async def snapshot(store: SeriesStore, name: str, owner: str | None = ME) -> Snapshot:
    found = await store.find(owner, name)
    assert found is not None
    return found


async def read(store: SeriesStore, found: Snapshot, start: int | None = None, end: int | None = None) -> Samples:
    return series.joined([chunk async for chunk in store.chunks(found, start, end)])


async def points(store: SeriesStore, name: str, owner: str | None = ME) -> list[tuple[int, float]]:
    """The points of a series, after a look at whether all that is told of it fits them."""
    found = await snapshot(store, name, owner)
    whole = await read(store, found)
    assert bool((np.diff(whole.t) > 0).all())
    bounds = (int(whole.t[0]), int(whole.t[-1])) if len(whole) else (None, None)
    assert (found.count, found.start, found.end) == (len(whole), *bounds)
    told = metrics.summary(await store.summaries(found))
    assert told == metrics.summary(metrics.summarise(whole.v, max(len(whole), 1))) or told.n == len(whole)
    return pairs(whole)


async def stored_chunks(database: Database) -> int:
    return await database["chunks"].count_documents({})


async def led_to(database: Database) -> set[bytes]:
    """The ids of all pages and chunks that a series leads to."""
    found = set[bytes]()
    async for root in database["series"].find():
        pages = entry_ids(np.frombuffer(root["pages"], ENTRY))
        found.update(pages)
        async for page in database["chunks"].find({"_id": {"$in": pages}}):
            found.update(entry_ids(np.frombuffer(page["entries"], ENTRY)))
    return found


# Whole series


@pytest.mark.parametrize("length", LENGTHS)
async def test_a_series_comes_back_exactly_as_it_was_stored(store: SeriesStore, length: int) -> None:
    whole = samples(length)
    made = await store.create(ME, "mast", "m/s", whole)
    assert (made.owner, made.name, made.unit, made.count) == (ME, "mast", "m/s", length)
    assert await points(store, "mast") == pairs(whole)
    found = await store.get(made.id)
    assert found is not None
    assert (found.id, found.count, found.start, found.end) == (made.id, length, made.start, made.end)


async def test_a_series_of_several_pages_is_read_summed_and_appended_to(store: SeriesStore) -> None:
    whole = samples(CHUNK * (PAGE + 2))
    made = await store.create(ME, "long", None, whole)
    late = samples(2000, 5, 20_000)
    assert await store.append(made, late) == (2000, 0)
    expected = series.merged(whole, late)
    found = await snapshot(store, "long")
    back = await read(store, found)
    assert back.t.tobytes() == expected.t.tobytes()
    assert back.v.tobytes() == expected.v.tobytes()
    for start, end in ((None, None), (12_345, 10_000_000), (None, 7), (int(whole.t[-1]) + 1, None), (500, 400)):
        part = series.between(expected, start, end)
        told = metrics.summary(await store.summaries(found, start, end))
        assert told.n == len(part)
        assert told.sum == pytest.approx(math.fsum(part.v), rel=1e-15)
        assert pairs(await read(store, found, start, end)) == pairs(part)


async def test_every_bit_of_a_value_is_kept(store: SeriesStore) -> None:
    odd = [0.0, -0.0, 5e-324, -1.7976931348623157e308, 0.1, 1e22]
    await store.create(ME, "odd", None, of(list(enumerate(odd))))
    assert np.array([v for _, v in await points(store, "odd")]).tobytes() == np.array(odd).tobytes()


async def test_a_name_is_unique_per_owner_and_a_series_may_go_without(store: SeriesStore) -> None:
    for length in (1, FRESH + 1):
        name = f"mast-{length}"
        await store.create(ME, name, None, samples(length))
        for again in (1, FRESH + 1):
            with pytest.raises(NameTaken, match=name):
                await store.create(ME, name, None, samples(again))
        await store.create(YOU, name, None, samples(length))
        await store.create(None, name, None, samples(length))
        await store.create(ME, None, None, samples(length))
        await store.create(ME, None, None, samples(length))
    assert (await store.count(ME), await store.count(YOU), await store.count(None)) == (6, 2, 2)


@pytest.mark.parametrize("length", [1, FRESH + 1])
async def test_of_many_who_want_a_name_at_once_one_gets_it(database: Database, length: int) -> None:
    stores = [SeriesStore(database) for _ in range(4)]
    await stores[0].prepare()
    made = await asyncio.gather(
        *(some.create(ME, "mast", None, samples(length, v=index)) for index, some in enumerate(stores)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, NameTaken) for one in made) == 3
    assert len(await points(stores[0], "mast")) == length


async def test_lists_are_paged_and_everyone_s_are_all(store: SeriesStore) -> None:
    made = [await store.create(owner, None, None, samples(1)) for owner in (ME, YOU, ME, None, ME)]
    mine = [some for some in made if some.owner == ME]
    assert await store.list(ME, limit=2) == mine[:2]
    assert await store.list(ME, limit=2, after=mine[1].id) == mine[2:]
    assert await store.list(None, limit=9) == [made[3]]
    assert (await store.list(EVERYONE, limit=9), await store.count(EVERYONE)) == (made, 5)


async def test_what_nobody_made_is_not_found(store: SeriesStore) -> None:
    assert (await store.get("x"), await store.find(ME, "x"), await store.delete("x")) == (None, None, False)


async def test_the_newest_points_are_the_last_ones(store: SeriesStore) -> None:
    whole = samples(3 * CHUNK)
    made = await store.create(ME, "mast", None, whole)
    fresh = samples(100, 5, 1000)
    await store.append(made, fresh)
    expected = pairs(series.merged(whole, fresh))
    found = await snapshot(store, "mast")
    for count in (1, 99, CHUNK, CHUNK + 1, 2 * CHUNK + 50, 10**9):
        assert pairs(await store.newest(found, count)) == expected[-count:]


# Appending


@pytest.mark.parametrize("length", LENGTHS)
async def test_a_time_that_is_there_keeps_its_first_value(store: SeriesStore, length: int) -> None:
    made = await store.create(ME, "mast", None, samples(length, v=1))
    twice = series.joined([samples(length + 7, v=2), samples(length + 9, v=3)])
    assert await store.append(made, twice) == (9, 2 * length + 7)
    assert await points(store, "mast") == pairs(samples(length, v=1)) + pairs(
        series.joined([samples(7, length * 10, v=2), samples(2, length * 10 + 70, v=3)])
    )


async def test_a_request_repeated_changes_nothing(store: SeriesStore) -> None:
    chunk = {"a": samples(10), "b": samples(5000)}
    assert await store.append_many(ME, chunk) == (5010, 0)
    before = await snapshot(store, "b")
    assert await store.append_many(ME, chunk) == (0, 5010)
    assert (await snapshot(store, "b")).version == before.version


async def test_a_name_means_its_owner_s_series_which_is_made_where_there_is_none(store: SeriesStore) -> None:
    made = await store.create(ME, "mast", "m/s", samples(1))
    await store.append_many(ME, {"mast": samples(1, 10), "new": samples(1)})
    await store.append_many(YOU, {"mast": samples(3)})
    assert (await snapshot(store, "mast")).id == made.id
    assert [len(await points(store, "mast", owner)) for owner in (ME, YOU)] == [2, 3]
    assert (await store.count(ME), await store.count(YOU), await store.count(None)) == (2, 1, 0)


async def test_a_series_that_another_process_deleted_is_told_by_an_append_and_then_forgotten(
    store: SeriesStore, database: Database
) -> None:
    made = await store.create(ME, "gone", None, samples(1))
    target = await store.target(made.id)
    assert target is not None
    assert target == (ME, "gone", made.id)
    assert await SeriesStore(database).delete(made.id)
    assert await store.target(made.id) == target
    with pytest.raises(SeriesGone):
        await store.append(target, samples(1, 10))
    assert await store.target(made.id) is None


async def test_of_the_series_that_were_appended_to_only_the_last_are_remembered(
    store: SeriesStore, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(targets, "MOST", 2)
    ids = [(await store.create(ME, None, None, samples(1))).id for _ in range(3)]
    for identifier in (ids[0], ids[1], ids[0], ids[2]):
        assert await store.target(identifier)
    await database["series"].delete_many({})
    assert [await store.target(identifier) is not None for identifier in ids] == [True, False, True]


async def test_a_deleted_series_takes_no_points_and_its_neighbours_do(store: SeriesStore) -> None:
    gone, there = [await store.create(ME, name, None, samples(1)) for name in ("gone", "there")]
    assert await store.delete(gone.id)
    outcomes = await asyncio.gather(
        store.append(there, samples(1, 10)),
        store.append(gone, samples(1, 10)),
        store.append_many(ME, {"there": samples(1, 20)}),
        return_exceptions=True,
    )
    assert outcomes[0] == outcomes[2] == (1, 0)
    assert isinstance(outcomes[1], SeriesGone)
    assert len(await points(store, "there")) == 3
    assert await store.find(ME, "gone") is None


async def test_more_names_than_one_commit_can_hold_are_refused(store: SeriesStore) -> None:
    with pytest.raises(TooManyNames, match=str(MAX_NAMES)):
        await store.append_many(ME, {str(number): samples(1) for number in range(MAX_NAMES + 1)})
    assert await store.count(ME) == 0


async def test_thousands_of_names_are_stored_at_once(store: SeriesStore) -> None:
    many = {f"n{number}": samples(2, number) for number in range(2000)}
    assert await store.append_many(ME, many) == (4000, 0)
    assert await store.append_many(ME, many | {"n7": samples(3, 7)}) == (1, 4000)
    assert await store.count(ME) == 2000


async def test_a_name_that_can_t_be_stored_does_not_harm_those_who_wait_with_it(store: SeriesStore) -> None:
    names = [f"n{number}" for number in range(20)]
    names[15] = "\ud800"
    outcomes = await asyncio.gather(
        *(store.append_many(ME, {name: samples(1)}) for name in names), return_exceptions=True
    )
    assert [name for name, outcome in zip(names, outcomes, strict=True) if outcome != (1, 0)] == ["\ud800"]
    assert await store.count(ME) == 19


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.lists(st.integers(0, 30), min_size=1, max_size=8)),
        max_size=12,
    )
)
@examples(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_one_after_another_the_first_wins_as_in_a_dict(
    database: Database, requests: list[tuple[int, str, list[int]]]
) -> None:
    await database["series"].delete_many({})
    stores = [SeriesStore(database) for _ in range(4)]
    model: dict[str, dict[int, float]] = defaultdict(dict)
    for number, (which, name, times) in enumerate(requests):
        new = sum(t not in model[name] for t in set(times))
        sent = of([(t, number * 100 + index) for index, t in enumerate(times)])
        for t, v in pairs(sent):
            model[name].setdefault(t, v)
        assert await stores[which].append_many(ME, {name: sent}) == (new, len(times) - new)
    for name, expected in model.items():
        assert await points(stores[0], name) == sorted(expected.items())


@pytest.mark.parametrize("seed", range(3))
async def test_overlapping_chunks_of_many_writers_are_stored_once_each(database: Database, seed: int) -> None:
    """Each value names its request, so that what is stored tells who won, and the counts must agree with it."""
    generator = random.Random(seed)
    stores = [SeriesStore(database) for _ in range(3)]
    await stores[0].prepare()
    sent: list[dict[str, Samples]] = []
    for number in range(60):
        names = generator.sample(["a", "b", "c"], generator.choice([1, 1, 2, 3]))
        size = generator.choice([1, 20, 3000])
        times = generator.sample(range(12_000), size)
        sent.append({name: of([(t, number) for t in times]) for name in names})
    answers = await asyncio.gather(*(stores[index % 3].append_many(ME, request) for index, request in enumerate(sent)))
    won = dict.fromkeys(range(len(sent)), 0)
    for name in "abc":
        stored = await points(stores[0], name)
        assert {t for t, _ in stored} == {t for request in sent if name in request for t in request[name].t.tolist()}
        for t, v in stored:
            assert t in sent[int(v)][name].t
            won[int(v)] += 1
    for index, (stored, already) in enumerate(answers):
        assert (stored, stored + already) == (won[index], sum(map(len, sent[index].values())))


async def test_who_asks_first_in_one_process_wins(store: SeriesStore) -> None:
    answers = await asyncio.gather(
        *(store.append_many(ME, {"mast": samples(50, v=float(number))}) for number in range(30))
    )
    assert answers == [(50, 0)] + [(0, 50)] * 29
    assert {v for _, v in await points(store, "mast")} == {0.0}


async def test_an_append_to_one_series_does_not_overtake_an_earlier_one_to_several(store: SeriesStore) -> None:
    requests = [{"a": samples(5, v=1)}, {"a": samples(5, v=2), "b": samples(5, v=2)}, {"b": samples(5, v=3)}]
    answers = await asyncio.gather(*(store.append_many(ME, request) for request in requests))
    assert answers == [(5, 0), (5, 5), (0, 5)]


async def test_a_request_that_loses_one_of_its_series_to_another_is_stored_whole_or_tried_again(
    database: Database,
) -> None:
    stores = [SeriesStore(database), SeriesStore(database)]
    await stores[0].prepare()

    async def write(which: int) -> None:
        for number in range(40):
            one = samples(1, number * 100 + which)
            assert await stores[which].append_many(ME, {"a": one, f"own {which}": one, "z": one}) == (3, 0)

    await asyncio.gather(write(0), write(1))
    assert len(await points(stores[0], "a")) == len(await points(stores[0], "z")) == 80


async def test_many_writers_on_one_series_share_commits(store: SeriesStore) -> None:
    await asyncio.gather(*(store.append_many(ME, {"mast": samples(1, 10 * number)}) for number in range(300)))
    found = await snapshot(store, "mast")
    assert found.count == 300
    assert found.version < 10


async def test_a_root_of_the_earlier_layout_is_read_and_appended_to(store: SeriesStore, database: Database) -> None:
    """One that holds more fresh points than one does today, in two arrays and nothing else."""
    earlier = samples(1000)
    made = await store.create(ME, "mast", None, samples(1))
    fields = {"t": earlier.t.tobytes(), "v": earlier.v.tobytes(), "count": 1000, "end": 9990}
    await database["series"].update_one({"_id": made.id}, {"$set": fields})
    assert await points(store, "mast") == pairs(earlier)
    assert await store.append(made, samples(1002, v=7)) == (2, 1000)
    assert await points(store, "mast") == [*pairs(earlier), (10_000, 7.0), (10_010, 7.0)]
    assert await stored_chunks(database) == 2  # with its page


async def test_names_by_the_thousand_with_full_roots_are_appended_to_in_one_request(
    store: SeriesStore, database: Database
) -> None:
    names = [f"n{number}" for number in range(2000)]
    await store.append_many(ME, dict.fromkeys(names, samples(1)))
    full = samples(1000)
    fields = {"t": full.t.tobytes(), "v": full.v.tobytes(), "count": 1000, "end": 9990}
    await database["series"].update_many({}, {"$set": fields})
    for number in range(3):
        one = samples(1, 10_000 + number * 10)
        assert await store.append_many(ME, dict.fromkeys(names, one)) == (2000, 0)
    # What one commit puts into chunks is bounded, and goes on with the next.
    assert 3 * FOLDS <= await stored_chunks(database) // 2 < 2000
    assert await store.append_many(ME, dict.fromkeys(names, samples(1003))) == (0, 2000 * 1003)
    for name in (names[0], names[-1]):
        assert [t for t, _ in await points(store, name)] == [10 * number for number in range(1003)]


async def test_an_append_writes_no_more_than_it_brings(store: SeriesStore, database: Database) -> None:
    made = await store.create(ME, "mast", None, samples(FRESH - 9))
    for number in range(9):
        await store.append(made, samples(1, 9_999_990 - number * 10))
    root = await database["series"].find_one({"_id": made.id})
    assert root is not None
    assert [len(root["t"]), *map(len, root["pieces"])] == [8 * (FRESH - 9), *[16] * 9]
    assert len(await points(store, "mast")) == FRESH
    assert await store.append(made, samples(1, 5)) == (1, 0)
    root = await database["series"].find_one({"_id": made.id})
    assert root is not None
    assert (len(root["t"]), "pieces" in root) == (0, False)
    assert len(await points(store, "mast")) == FRESH + 1


async def test_a_large_append_is_not_starved_by_small_ones_of_others(database: Database) -> None:
    large, small = SeriesStore(database), SeriesStore(database)
    await small.prepare()
    made = await small.create(ME, "mast", None, samples(40 * CHUNK, step=100))
    done = asyncio.Event()

    async def trickle() -> int:
        number = 0
        while not done.is_set():
            await small.append(made, samples(600, number * 6000 + 1))
            number += 1
        return number

    trickling = asyncio.create_task(trickle())
    late = samples(40 * CHUNK, 50, 100)
    assert await large.append(made, late) == (len(late), 0)
    done.set()
    await trickling


async def test_a_writer_who_died_holding_a_series_does_not_keep_others_long(
    store: SeriesStore, database: Database
) -> None:
    made = await store.create(ME, "mast", None, samples(1))
    pipeline = [{"$set": {"hold": {"by": "the dead", "until": {"$add": ["$$NOW", 500]}}}}]
    await database["series"].update_one({"_id": made.id}, pipeline)
    async with asyncio.timeout(30):
        assert await store.append(made, samples(1, 10)) == (1, 0)


async def test_who_gives_up_waiting_takes_nobody_along(store: SeriesStore) -> None:
    tasks = [asyncio.create_task(store.append_many(ME, {"mast": samples(1, 10 * n)})) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(answer == (1, 0) for answer in done[1::2])


# Reading


async def test_what_is_read_is_one_version_however_much_is_written_meanwhile(store: SeriesStore) -> None:
    before = samples(5 * CHUNK)
    made = await store.create(ME, "mast", None, before)
    found = await snapshot(store, "mast")
    reader = store.chunks(found)
    read = [await anext(reader)]
    await store.append(made, samples(5 * CHUNK, 5))
    await store.delete(made.id)
    read += [chunk async for chunk in reader]
    assert pairs(series.joined(read)) == pairs(before)
    assert metrics.summary(await store.summaries(found)).n == len(before)


async def test_a_reader_slower_than_the_sweep_goes_on_with_what_is_there(store: SeriesStore) -> None:
    before, late = samples(150 * CHUNK), samples(150 * CHUNK, 5)
    made = await store.create(ME, "mast", None, before)
    found = await snapshot(store, "mast")
    reader = store.chunks(found)
    read = [await anext(reader)]
    await store.append(made, late)
    assert await store.sweep(AT_ONCE) > 0
    read += [chunk async for chunk in reader]
    whole = series.joined(read)
    assert bool((np.diff(whole.t) > 0).all())
    assert set(before.t.tolist()) <= set(whole.t.tolist()) <= {*before.t.tolist(), *late.t.tolist()}
    assert metrics.summary(await store.summaries(found, 15)).n == 300 * CHUNK - 3
    assert len(await store.newest(found, 7)) == 7


async def test_a_reader_is_told_when_the_series_is_gone(store: SeriesStore) -> None:
    made = await store.create(ME, "mast", None, samples(200 * CHUNK))
    found = await snapshot(store, "mast")
    reader = store.chunks(found)
    await anext(reader)
    await store.delete(made.id)
    await store.sweep(AT_ONCE)
    with pytest.raises(SeriesGone):
        async for _ in reader:
            pass
    with pytest.raises(SeriesGone):
        await store.summaries(found, 5)


# Deleting and reclaiming


async def test_a_deleted_series_is_gone_at_once_and_its_chunks_later(store: SeriesStore, database: Database) -> None:
    made = await store.create(ME, "mast", None, samples(10 * CHUNK))
    assert await store.delete(made.id)
    assert (await store.get(made.id), await store.find(ME, "mast"), await store.count(ME)) == (None, None, 0)
    assert not await store.delete(made.id)
    await store.create(ME, "mast", None, samples(1))
    assert await store.sweep() == 0
    assert await stored_chunks(database) == 11
    assert await store.sweep(AT_ONCE) == 11
    assert (await stored_chunks(database), await database["stages"].count_documents({})) == (0, 0)
    assert len(await points(store, "mast")) == 1


async def test_what_an_append_replaced_is_reclaimed_and_what_is_read_is_not(
    store: SeriesStore, database: Database
) -> None:
    made = await store.create(ME, "mast", None, samples(10 * CHUNK))
    for start in (1, 2, 3):
        await store.append(made, samples(CHUNK, start))
    before = await points(store, "mast")
    stores = [store, SeriesStore(database), SeriesStore(database)]
    assert sum(await asyncio.gather(*(some.sweep(AT_ONCE) for some in stores))) > 0
    assert {document["_id"] async for document in database["chunks"].find({}, {"_id": 1})} == await led_to(database)
    assert await points(store, "mast") == before


async def test_who_loses_chunks_to_a_hasty_sweep_writes_them_again(database: Database, store: SeriesStore) -> None:
    done = asyncio.Event()

    async def sweep() -> None:
        while not done.is_set():
            await SeriesStore(database).sweep(AT_ONCE)
            await asyncio.sleep(0.05)

    sweeping = asyncio.create_task(sweep())
    whole, late = samples(20 * CHUNK), samples(CHUNK, 5)
    for number in range(20):
        made = await store.create(ME, f"mast-{number}", None, whole)
        assert await store.append(made, late) == (CHUNK, 0)
    done.set()
    await sweeping
    for number in range(20):
        assert await points(store, f"mast-{number}") == pairs(series.merged(whole, late))


async def test_appends_that_lose_to_another_s_leave_nothing_to_reclaim_but_what_they_replaced(
    database: Database,
) -> None:
    stores = [SeriesStore(database) for _ in range(3)]
    await stores[0].prepare()
    for number in range(5):
        blocks = [samples(FRESH + 1, (10 * number + which) * 10_000) for which in range(len(stores))]
        await asyncio.gather(*(some.append_many(ME, {"a": b}) for some, b in zip(stores, blocks, strict=True)))
    stages = await database["stages"].find().to_list(length=99)
    assert len(stages) <= 5 * len(stores)
    replaced = {identifier for stage in stages for identifier in stage["replaced"]}
    stored = {document["_id"] async for document in database["chunks"].find({}, {"_id": 1})}
    assert stored == replaced | await led_to(database)
    assert await stores[0].sweep(AT_ONCE) == len(replaced)
    assert len(await points(stores[0], "a")) == 5 * len(stores) * (FRESH + 1)


async def test_while_mongodb_is_unavailable_every_method_says_so(store: SeriesStore) -> None:
    found = await store.get((await store.create(ME, "mast", None, samples(FRESH + 1))).id)
    assert found is not None
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"mongodb://127.0.0.1:{closed.getsockname()[1]}/?directConnection=true"
        async with connect(url, "unavailable", timedelta(milliseconds=50)) as unavailable:
            absent = SeriesStore(unavailable)
            for attempt in (
                absent.prepare(),
                absent.create(ME, "new", None, samples(1)),
                absent.create(ME, None, None, samples(FRESH + 1)),
                absent.get("x"),
                absent.find(ME, "x"),
                absent.list(ME, limit=1),
                absent.count(ME),
                absent.append(found, samples(1)),
                absent.append_many(ME, {"a": samples(1), "b": samples(1)}),
                absent.delete("x"),
                absent.sweep(),
                anext(absent.chunks(found)),
                absent.summaries(found, 5),
                absent.newest(found, 1),
            ):
                with pytest.raises(StoreUnavailable):
                    await attempt


# What is tried again though it was stored


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every first transaction is told as if another's had come between, though it was committed."""

    async def told_wrongly(database: Database, act: Callable[[Session], Awaitable[None]], deadline: float) -> None:
        await transaction(database, act, deadline)
        if not told:
            told.append(True)
            raise Conflict

    told: list[bool] = []
    for module in (creations, store_series):
        monkeypatch.setattr(module, "transaction", told_wrongly)


@pytest.mark.usefixtures("forgetful")
async def test_a_long_series_that_was_stored_by_an_earlier_try_is_known_again(store: SeriesStore) -> None:
    made = await store.create(ME, "mast", None, samples(2 * FRESH))
    assert [found.id for found in await store.list(ME, limit=10)] == [made.id]
    assert pairs(await read(store, await snapshot(store, "mast"))) == pairs(samples(2 * FRESH))


async def test_a_short_series_that_was_stored_by_an_earlier_try_is_known_again(
    store: SeriesStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots: Any = store._creations._roots  # pyright: ignore[reportPrivateUsage]
    insert = roots.insert_one

    async def insert_twice(document: dict[str, Any]) -> None:
        await insert(document)
        await insert(document)

    monkeypatch.setattr(roots, "insert_one", insert_twice)
    made = await store.create(ME, "mast", None, samples(3))
    assert [found.id for found in await store.list(ME, limit=10)] == [made.id]


@pytest.mark.usefixtures("forgetful")
async def test_a_series_that_was_deleted_by_an_earlier_try_was_there(store: SeriesStore) -> None:
    made = await store.create(ME, "mast", None, samples(3))
    assert await store.delete(made.id)
    assert not await store.delete(made.id)


async def test_appends_beyond_what_may_be_in_hand_are_refused_and_later_ones_are_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appends, "MOST_IN_HAND", 10)
    store = SeriesStore(database)
    await store.prepare()
    asked = (store.append_many(ME, {"mast": samples(4, 1000 * n)}) for n in range(20))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes[:2] == [(4, 0), (4, 0)]
    assert {type(outcome) for outcome in outcomes[2:]} == {Overloaded}
    assert await store.append_many(ME, {"mast": samples(50, 100_000)}) == (50, 0)
