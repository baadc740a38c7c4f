import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure

from datacosmos.store.batches import Batch
from datacosmos.store.connection import Database
from datacosmos.store.finding import Finder

LONG = {"$where": "sleep(60000) || true"}


@pytest.fixture
async def numbers(database: Database) -> Database:
    await database["numbers"].insert_many([{"_id": n} for n in range(10)])
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


async def test_all_batches_come_in_order(numbers: Database) -> None:
    read = [[each["_id"] for some in batch.documents() for each in some] async for batch in found(numbers)]
    assert read == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert await under_way(numbers) == []


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
