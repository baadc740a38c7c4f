"""A series' writers that are killed."""

import asyncio
import random
import sys

import pytest

from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.series.series import SeriesStore
from tests.engine.store.series.test_series import AT_ONCE, led_to, points, samples
from tests.process.store.series_writer import request


@pytest.mark.parametrize("seed", range(3))
async def test_a_writer_killed_at_any_moment_leaves_each_request_whole_or_untouched(
    settings: Settings, database: Database, seed: int
) -> None:
    store = SeriesStore(database)
    await store.prepare()
    generator = random.Random(seed)
    begun: dict[int, int] = {}  # how many requests each writer was told are stored
    assert settings.mongodb_url is not None
    for writer in range(seed * 10, seed * 10 + 3):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.process.store.series_writer"),
            *(settings.mongodb_url.get_secret_value(), settings.mongodb_database, str(writer)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        told = [await process.stdout.readline() for _ in range(generator.randrange(1, 12))]
        # Some moment within a request: those last from 2 to 50 ms.
        await asyncio.sleep(generator.uniform(0, 0.03))
        process.kill()
        rest, _ = await process.communicate()
        begun[writer] = len(told) + len(rest.splitlines())
        async with asyncio.timeout(10):
            await store.append_many("writer", {"one": samples(1, 10**9 + writer)})
    await all_or_nothing(store, begun)
    await store.sweep(AT_ONCE)
    assert {document["_id"] async for document in database["chunks"].find({}, {"_id": 1})} == await led_to(database)
    await all_or_nothing(store, begun)


async def all_or_nothing(store: SeriesStore, begun: dict[int, int]) -> None:
    """Of each request whatever nobody stored before it is there, or, of the last of a writer, nothing at all."""
    found = {
        some.name: dict(await points(store, str(some.name), "writer")) for some in await store.list("writer", limit=99)
    }
    for writer, count in begun.items():
        for number in range(count + 1):
            sent = request(writer, number)
            if number % 5 == 4:
                stored = found.get(f"new-{writer}-{number}")
                assert stored is None or len(stored) == len(sent)
                assert number == count or stored is not None
                continue
            own = float(writer * 1_000_000 + number)
            for name in ("one", "two"):
                there = [found.get(name, {}).get(t) for t in sent.t.tolist()]
                whole = all(v is not None and (v == own or older(v, own)) for v in there)
                nothing = own not in there
                assert whole or nothing
                assert whole or name == "two" or number == count


def older(one: float, other: float) -> bool:
    return one < other
