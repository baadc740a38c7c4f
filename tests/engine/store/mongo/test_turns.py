"""Who may ask MongoDB for more of a list, and who waits."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from datacosmos.bounds import Bound
from datacosmos.errors import Overloaded
from datacosmos.settings import Settings
from datacosmos.store.mongo import turns
from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import Database, client_of, connect
from datacosmos.store.mongo.finding import Batches, Finder
from datacosmos.store.mongo.turns import begin_query
from tests.engine.store.mongo.test_finding import LONG, under_way, until_under_way

SOON = timedelta(milliseconds=50)
RARE = "this._id < 5 || (sleep(60000) || true)"  # a first batch is found at once, and the next after a minute


@pytest.fixture
async def numbers(settings: Settings) -> AsyncGenerator[Database]:
    """A hundred of them, of which one long list is read at once."""
    assert settings.mongodb_url
    url = settings.mongodb_url.get_secret_value()
    async with connect(url, settings.mongodb_database, settings.mongodb_timeout, long_lists=1) as database:
        await database["numbers"].insert_many([{"_id": n} for n in range(100)])
        yield database
        await database.client.drop_database(settings.mongodb_database)


def found(database: Database, batch: int = 5, *, freely: bool = False, **command: Any) -> Batches[Batch]:
    return Finder(database, "numbers").batches({"find": "numbers", "batchSize": batch} | command, freely=freely)


async def count(batches: Batches[Batch]) -> int:
    return sum([len(some) async for batch in batches for some in batch.documents()])


async def test_a_long_list_waits_while_another_is_read_and_short_ones_pass_by(numbers: Database) -> None:
    with client_of(numbers).long_lists.holding():
        long = asyncio.create_task(count(found(numbers)))
        while not client_of(numbers).long_lists.is_awaited:
            await asyncio.sleep(0)
        assert await count(found(numbers, limit=5)) == 5
        assert not long.done()
    assert await long == 100


async def test_long_lists_read_their_batches_in_turns(numbers: Database) -> None:
    first, second = found(numbers), found(numbers)
    _ = [await anext(first) for _ in range(2)]
    await anext(second)
    waiting = asyncio.create_task(count(second))
    while not client_of(numbers).long_lists.is_awaited:
        await asyncio.sleep(0)
    rest = asyncio.create_task(count(first))
    assert await waiting + await rest == 100 - 5 + 100 - 5 - 40


async def test_who_waits_for_too_long_is_refused_and_leaves_nothing_behind(numbers: Database) -> None:
    client = client_of(numbers)
    client.long_lists = Bound("long_lists", 1, "long lists", waiting=1, patience=SOON)
    with client.long_lists.holding(), pytest.raises(Overloaded):
        await count(found(numbers))
    assert (client.lists.held, client.long_lists.held) == (0, 0)
    assert await under_way(numbers) == []


async def test_a_list_that_is_left_gives_back_its_turn(numbers: Database) -> None:
    for batches in (1, 2):
        leaving = found(numbers)
        _ = [await anext(leaving) for _ in range(batches)]
        await leaving.aclose()
    assert (client_of(numbers).lists.held, client_of(numbers).long_lists.held) == (0, 0)


async def test_who_is_bounded_elsewhere_waits_for_no_turn(numbers: Database) -> None:
    with client_of(numbers).long_lists.holding():
        assert await count(found(numbers, freely=True)) == 100


async def test_behind_a_long_list_of_a_query_no_other_is_taken_for_a_short_one(numbers: Database) -> None:
    assert await count(found(numbers)) == 100
    with client_of(numbers).long_lists.holding():
        behind = asyncio.create_task(count(found(numbers, limit=5)))
        while not client_of(numbers).long_lists.is_awaited:
            await asyncio.sleep(0)
        assert client_of(numbers).lists.held == 0
    assert await behind == 5


async def test_a_list_that_is_read_within_a_long_one_waits_for_no_turn_of_it(numbers: Database) -> None:
    assert await count(found(numbers)) == 100
    outer = found(numbers)
    await anext(outer)
    assert await count(found(numbers, limit=5)) == 5
    await outer.aclose()


@pytest.mark.parametrize("freely", [False, True])
async def test_a_list_whose_batch_is_slow_in_coming_holds_up_no_other(numbers: Database, freely: bool) -> None:
    client = client_of(numbers)
    client.long_reads = asyncio.Semaphore(1)
    slow = asyncio.create_task(count(found(numbers, filter={"$where": RARE})))
    while client.long_lists.held == 0:
        await asyncio.sleep(0)
    assert await count(found(numbers, freely=freely)) == 100
    assert client.slow_lists.held == 1
    slow.cancel()
    await asyncio.wait({slow})
    assert (client.long_lists.held, client.slow_lists.held, client.long_reads.locked()) == (0, 0, False)


async def test_a_slow_list_behind_a_long_one_of_its_query_holds_up_no_other(numbers: Database) -> None:
    client = client_of(numbers)
    assert await count(found(numbers)) == 100
    slow = asyncio.create_task(count(found(numbers, filter=LONG)))
    while client.long_lists.held == 0:
        await asyncio.sleep(0)
    begin_query()
    assert await count(found(numbers)) == 100
    assert client.slow_lists.held == 1
    slow.cancel()
    await asyncio.wait({slow})


async def test_slow_lists_keep_others_waiting_once_there_are_as_many_as_may_be(numbers: Database) -> None:
    client = client_of(numbers)
    client.long_lists = Bound("long_lists", 1, "long lists", waiting=2, patience=10 * timedelta(seconds=turns.LATE))
    slow = [asyncio.create_task(count(found(numbers, filter={"$where": RARE}))) for _ in range(2)]
    await until_under_way(numbers, 2)
    while client.slow_lists.held == 0:
        await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await count(found(numbers))
    for each in slow:
        each.cancel()
    await asyncio.wait(slow)
    assert await under_way(numbers) == []
