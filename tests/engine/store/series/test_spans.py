import asyncio
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.domain import summaries
from datacosmos.domain.series import CHUNK, Samples, in_order
from datacosmos.store.mongo.connection import Database
from datacosmos.store.series.roots import Snapshot
from datacosmos.store.series.series import SeriesStore

COUNT, FRESH = 9 * CHUNK, 100
LATEST = 1_000_000
TIMES = st.integers(-10, LATEST + 10)


def some(seed: int, count: int) -> Samples:
    """Few values, so that extremes are equal often."""
    generator = np.random.default_rng(seed)
    t = generator.choice(LATEST, count, replace=False)
    return in_order(Samples(t.astype(np.int64), np.round(generator.normal(0, 3, count))))


@pytest.fixture
async def store(database: Database) -> SeriesStore:
    store = SeriesStore(database)
    await store.prepare()
    return store


async def made(store: SeriesStore, whole: Samples) -> Snapshot:
    """Most points in chunks, some fresh ones anywhere among them."""
    fresh = np.zeros(len(whole), bool)
    fresh[:: len(whole) // FRESH + 1] = True
    stored = await store.create(None, "a", None, whole[~fresh])
    await store.append(stored, whole[fresh])
    snapshot = await store.get(stored.id)
    assert snapshot is not None
    assert len(snapshot.fresh)
    return snapshot


async def test_spans_of_any_range_add_up_as_the_points_themselves_do(store: SeriesStore) -> None:
    whole = some(1, COUNT)
    snapshot = await made(store, whole)

    async def check(inner: list[int], start: int, end: int, *, drawn: bool) -> None:
        edges = np.unique([*(edge for edge in inner if start < edge <= end), start, end + 1])
        found = await store.gathered(snapshot, edges, start, end, drawn=drawn)
        for part, first, beyond in zip(found, edges, edges[1:], strict=False):
            inside = (whole.t >= first) & (whole.t < beyond)
            t, v = whole.t[inside], whole.v[inside]
            assert part["n"] == len(t)
            if not len(t):
                continue
            assert part["sum"] == math.fsum(v)
            assert (part["min"], part["max"], part["first"], part["last"]) == (v.min(), v.max(), v[0], v[-1])
            assert (part["first_at"], part["last_at"]) == (t[0], t[-1])
            if drawn:
                assert v[t == part["min_at"]] == v.min()
                assert v[t == part["max_at"]] == v.max()

    loop = asyncio.get_running_loop()

    @given(st.lists(TIMES, max_size=30), TIMES, TIMES, st.booleans())
    @examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def checked(inner: list[int], start: int, end: int, drawn: bool) -> None:
        asyncio.run_coroutine_threadsafe(check(inner, min(start, end), max(start, end), drawn=drawn), loop).result(20)

    await asyncio.to_thread(checked)
    await check(list(range(0, LATEST, 500)), 0, LATEST, drawn=True)  # more spans in a chunk than are told apart
    await check([int(whole.t[n * CHUNK]) for n in range(9)], 0, LATEST, drawn=True)


async def test_sums_beyond_a_double_still_have_an_average(store: SeriesStore) -> None:
    snapshot = await made(store, Samples(np.arange(3 * CHUNK), np.full(3 * CHUNK, 1.5e308)))
    [part] = await store.gathered(snapshot, np.array([0, 3 * CHUNK]), 0, 3 * CHUNK - 1)
    assert math.isinf(part["sum"])
    assert summaries.averages(np.array([part]))[0] == 1.5e308


async def test_of_a_long_series_only_the_chunks_at_the_edges_are_read(store: SeriesStore, database: Database) -> None:
    snapshot = await made(store, Samples(np.arange(60 * CHUNK), np.arange(60.0 * CHUNK)))
    await database.command("profile", 2)
    await store.gathered(snapshot, np.array([0, 25 * CHUNK + 9, 60 * CHUNK]), 0, 60 * CHUNK - 1)
    await database.command("profile", 0)
    found = [each async for each in database["system.profile"].find({"op": "query", "ns": f"{database.name}.chunks"})]
    assert sum(each["nreturned"] for each in found) == 1 + 3  # the page, and the chunks of three edges
