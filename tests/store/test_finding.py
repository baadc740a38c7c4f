import asyncio
from collections.abc import AsyncGenerator
from itertools import chain
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure

from datacosmos.errors import StoreUnavailable
from datacosmos.store.batches import Batch
from datacosmos.store.connection import Database
from datacosmos.store.finding import Finder

LONG = {"$where": "sleep(60000) || true"}


@pytest.fixture
async def numbers(database: Database) -> Database:
    await database["numbers"].insert_many([{"_id": n} for n in range(100)])
    return database


def found(database: Database, batch: int = 3, **command: Any) -> AsyncGenerator[Batch]:
    return Finder(database["numbers"]).batches({"find": "numbers", "sort": {"_id": 1}, "batchSize": batch} | command)


async def under_way(database: Database) -> list[dict[str, Any]]:
    """What MongoDB does in this database right now, and the cursors that stand open in it."""
    namespace = f"{database.name}.numbers"
    operations = database.client.admin.aggregate([
        {"$currentOp": {"allUsers": True, "idleCursors": True}},
        {"$match": {"ns": namespace, "$or": [{"type": "idleCursor"}, {"op": {"$in": ["query", "getmore"]}}]}},
    ])  # fmt: skip
    return await operations.to_list(None)


async def until_under_way(database: Database, number: int) -> None:
    async with asyncio.timeout(10):
        while len(await under_way(database)) != number:
            await asyncio.sleep(0.01)


async def numbers_of(batches: AsyncGenerator[Batch]) -> list[list[int]]:
    return [[each["_id"] for some in batch.documents() for each in some] async for batch in batches]


async def test_all_batches_come_in_order_and_grow(numbers: Database) -> None:
    read = await numbers_of(found(numbers))
    assert read == [[*range(3)], [*range(3, 27)], [*range(27, 100)]]
    assert await under_way(numbers) == []


async def test_a_cursor_that_mongodb_has_lost_is_no_fault_of_the_query(numbers: Database) -> None:
    batches = found(numbers, batch=1)
    await anext(batches)
    await until_under_way(numbers, 1)
    [open_] = await under_way(numbers)
    await numbers.command("killCursors", "numbers", cursors=[open_["cursor"]["cursorId"]])
    with pytest.raises(StoreUnavailable):
        _ = [batch async for batch in batches]


async def test_an_aggregate_is_read_like_a_find(numbers: Database) -> None:
    command = {"aggregate": "numbers", "pipeline": [{"$sort": {"_id": -1}}], "cursor": {"batchSize": 3}}
    read = await numbers_of(Finder(numbers["numbers"]).batches(command))
    assert [len(some) for some in read] == [3, 24, 73]
    assert [*chain(*read)] == [*reversed(range(100))]


async def test_of_large_documents_few_come_at_once(numbers: Database) -> None:
    await numbers["numbers"].update_many({}, {"$set": {"large": b"x" * 100_000}})
    read = await numbers_of(found(numbers, batch=8))
    assert [len(some) for some in read[:3]] == [8, 2, 2]
    assert [*chain(*read)] == [*range(100)]


async def test_large_documents_are_decoded_in_small_steps(numbers: Database) -> None:
    await numbers["numbers"].update_many({"_id": {"$gte": 90}}, {"$set": {"large": b"x" * 100_000}})
    batch = await anext(found(numbers, batch=100))
    assert [len(some) for some in batch.documents()] == [93, 3, 3, 1]


async def test_what_is_cancelled_ends_in_mongodb(numbers: Database) -> None:
    reading = asyncio.create_task(anext(found(numbers, filter=LONG)))
    await until_under_way(numbers, 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await under_way(numbers) == []


async def test_what_is_left_early_leaves_no_cursor(numbers: Database) -> None:
    batches = found(numbers)
    await anext(batches)
    await until_under_way(numbers, 1)
    await batches.aclose()
    assert await under_way(numbers) == []


async def test_a_session_that_was_ended_serves_the_next(numbers: Database) -> None:
    for _ in range(3):
        batches = found(numbers)
        await anext(batches)
        await batches.aclose()
        assert len([batch async for batch in found(numbers, batch=4)]) == 3


async def test_a_user_without_other_rights_ends_what_is_its_own(numbers: Database) -> None:
    await numbers.command("createUser", "reader", pwd="secret", roles=["readWrite"])
    address = cast("tuple[str, int]", numbers.client.address)
    url = f"mongodb://reader:secret@{address[0]}:{address[1]}/{numbers.name}?directConnection=true"
    reader: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(url)
    try:
        reading = asyncio.create_task(anext(found(reader[numbers.name], filter=LONG)))
        await until_under_way(numbers, 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await under_way(numbers) == []
    finally:
        reader.close()
        await numbers.command("dropUser", "reader")


async def test_what_mongodb_refuses_is_raised(numbers: Database) -> None:
    with pytest.raises(OperationFailure):
        await anext(found(numbers, filter={"$nothing": 1}))
