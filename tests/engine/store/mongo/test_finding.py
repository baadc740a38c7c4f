import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import chain
from typing import Any, cast

import pytest
from motor.frameworks.asyncio import max_workers
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure, PyMongoError

from datacosmos.errors import StoreUnavailable
from datacosmos.settings import Settings
from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import READS, Database, Document, ReadDatabase, client_of, connect, ping
from datacosmos.store.mongo.finding import Batches, Finder
from datacosmos.store.mongo.line import Line
from datacosmos.store.mongo.wire import wire_of
from datacosmos.store.points.receipts import Receipts
from datacosmos.store.series.series import SeriesStore
from tests.process.faults.line import line_to

LONG = {"$where": "sleep(60000) || true"}


@pytest.fixture
async def numbers(database: Database) -> Database:
    await database["numbers"].insert_many([{"_id": n} for n in range(100)])
    return database


def found(database: Database, batch: int = 3, **command: Any) -> Batches[Batch]:
    return Finder(database, "numbers").batches({"find": "numbers", "sort": {"_id": 1}, "batchSize": batch} | command)


def failing(error: type[PyMongoError]) -> Callable[..., Awaitable[Any]]:
    async def fail(*_: object) -> Any:
        raise error

    return fail


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


async def numbers_of(batches: Batches[Batch]) -> list[list[int]]:
    return [[each["_id"] for some in batch.documents() for each in some] async for batch in batches]


async def test_all_batches_come_in_order_and_grow(numbers: Database) -> None:
    read = await numbers_of(found(numbers))
    assert read == [[*range(3)], [*range(3, 27)], [*range(27, 100)]]
    assert await under_way(numbers) == []


@pytest.mark.parametrize(
    "command", [{"find": "none", "batchSize": 9}, {"aggregate": "none", "pipeline": [], "cursor": {"batchSize": 9}}]
)
async def test_in_a_collection_that_is_not_there_nothing_is_found(database: Database, command: Document) -> None:
    """MongoDB orders its reply in another way then."""
    read = [each async for batch in Finder(database, "none").batches(command) for each in batch.documents()]
    assert read == []


async def test_without_private_names_of_the_driver_reads_go_its_own_way(numbers: Database) -> None:
    client_of(numbers).wire = None
    assert [*chain(*await numbers_of(found(numbers)))] == [*range(100)]


async def test_connections_that_broke_while_they_were_idle_are_replaced(numbers: Database, settings: Settings) -> None:
    assert settings.mongodb_url
    async with (
        line_to(settings.mongodb_url.get_secret_value()) as (line, url),
        connect(url, numbers.name, timedelta(seconds=5)) as database,
    ):
        for _ in range(3):
            reading = [numbers_of(found(database)) for _ in range(4)]
            assert [len(read) for read in await asyncio.gather(*reading)] == [3] * 4
            await line.mend()
        assert len(await numbers_of(found(database))) == 3


async def test_a_connection_that_breaks_before_the_first_batch_is_no_fault_of_the_query(
    numbers: Database, settings: Settings
) -> None:
    assert settings.mongodb_url
    async with (
        line_to(settings.mongodb_url.get_secret_value()) as (line, url),
        connect(url, numbers.name, timedelta(seconds=5)) as database,
    ):
        await numbers_of(found(database))
        line.answers_lost.set()
        reading = asyncio.create_task(numbers_of(found(database, limit=2)))
        await asyncio.sleep(0.05)  # however far it comes by then, it is to succeed
        await line.mend()
        assert await reading == [[0, 1]]


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
    read = await numbers_of(Finder(numbers, "numbers").batches(command))
    assert [len(some) for some in read] == [3, 24, 73]
    assert [*chain(*read)] == [*reversed(range(100))]


async def test_of_large_documents_few_come_at_once(numbers: Database) -> None:
    await numbers["numbers"].update_many({}, {"$set": {"large": b"x" * 50_000}})
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


async def test_a_cursor_that_opens_while_its_session_is_ended_is_closed(
    numbers: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB may be asked to end what it has not read yet."""
    command, ask, lines = ReadDatabase.command, Line.ask, list[Line]()

    async def come_too_early(database: ReadDatabase, asked: Document, *args: Any, **options: Any) -> Any:
        is_early = "killSessions" in asked and not lines[0].is_idle
        while is_early and not lines[0].is_idle:
            await asyncio.sleep(0.001)
        return None if is_early else await command(database, asked, *args, **options)

    def leave(line: Line, body: bytes) -> Any:
        lines.append(line)
        reading.cancel()
        return ask(line, body)

    monkeypatch.setattr(AsyncDatabase, "command", come_too_early)
    monkeypatch.setattr(Line, "ask", leave)
    reading = asyncio.create_task(anext(found(numbers)))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await under_way(numbers) == []


async def test_reads_without_end_keep_neither_writes_nor_health_waiting(numbers: Database) -> None:
    reading = [asyncio.create_task(anext(found(numbers, filter=LONG))) for _ in range(2 * READS)]
    await until_under_way(numbers, READS)
    async with asyncio.timeout(20):
        await asyncio.gather(*(numbers["others"].insert_one({}) for _ in range(READS)))
        await ping(numbers)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert await under_way(numbers) == []


async def test_motors_threads_all_busy_keep_neither_reads_nor_health_waiting(numbers: Database) -> None:
    busy = [asyncio.ensure_future(numbers["numbers"].find_one(LONG)) for _ in range(max_workers)]
    admin = client_of(numbers).reads.admin
    at_work: list[Document] = [{"$currentOp": {}}, {"$match": {"ns": f"{numbers.name}.numbers", "op": "query"}}]
    operations: list[dict[str, Any]] = []
    while len(operations) < max_workers:
        operations = await (await admin.aggregate(at_work)).to_list(None)
    assert await numbers_of(found(numbers, limit=2)) == [[0, 1]]
    await ping(numbers)
    series = SeriesStore(numbers)
    async with asyncio.timeout(20):
        assert (await series.list(None, limit=1), await series.count(None)) == ([], 0)
        assert (await series.get("1"), await series.find(None, "a"), await Receipts(numbers).get("1")) == (None,) * 3
    assert not any(task.done() for task in busy)
    for operation in operations:
        await admin.command("killOp", op=operation["opid"])
    await asyncio.gather(*busy, return_exceptions=True)


async def test_what_is_left_early_leaves_no_cursor(numbers: Database) -> None:
    batches = found(numbers)
    await anext(batches)
    await until_under_way(numbers, 1)
    await batches.aclose()
    assert await under_way(numbers) == []


async def test_what_is_cancelled_while_it_is_left_leaves_no_cursor(numbers: Database) -> None:
    batches = found(numbers)
    await anext(batches)
    await until_under_way(numbers, 1)
    leaving = asyncio.ensure_future(batches.aclose())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    await until_under_way(numbers, 0)


async def test_a_batch_that_fails_leaves_no_cursor(numbers: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = client_of(numbers).wire
    assert wire is not None
    ask = wire.ask

    async def fail_later(database: str, command: Document, session: Any) -> Any:
        if "getMore" in command:
            raise AutoReconnect
        return await ask(database, command, session)

    monkeypatch.setattr(wire, "ask", fail_later)
    with pytest.raises(StoreUnavailable):
        await numbers_of(found(numbers))
    assert await under_way(numbers) == []


async def test_a_first_batch_that_did_not_come_in_time_is_not_asked_for_again(
    numbers: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_of(numbers).wire, "ask", failing(NetworkTimeout))
    with pytest.raises(StoreUnavailable):
        await numbers_of(found(numbers, limit=2))


async def test_a_reply_that_is_none_is_like_a_connection_that_broke(
    numbers: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[bytes]()
    ask = Line.ask

    def misled(line: Line, body: bytes) -> Any:
        asked.append(body)
        asyncio.get_running_loop().call_soon(setattr, line, "_number", 0)  # no reply is to this
        return ask(line, body)

    monkeypatch.setattr(Line, "ask", misled)
    assert await numbers_of(found(numbers, limit=2)) == [[0, 1]]
    assert len(asked) == 1  # the other went the driver's own way


async def test_a_reply_that_comes_in_pieces_is_read_as_a_whole(numbers: Database, settings: Settings) -> None:
    assert settings.mongodb_url
    await numbers["numbers"].update_many({}, {"$set": {"large": b"x" * 50_000}})
    async with (
        line_to(settings.mongodb_url.get_secret_value()) as (_, url),
        connect(url, numbers.name, timedelta(seconds=5)) as database,
    ):
        assert await numbers_of(found(database, batch=101)) == [[*range(100)]]


async def test_what_takes_too_long_is_given_up(numbers: Database) -> None:
    """Of two questions on one line the second's time begins with itself."""
    client = client_of(numbers)
    client.wire = wire_of(client.reads, 1.5)
    assert await numbers_of(found(numbers, limit=2)) == [[0, 1]]
    await asyncio.sleep(0.8)
    assert await numbers_of(found(numbers, limit=1, filter={"_id": 0, "$where": "sleep(800) || true"})) == [[0]]
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await anext(found(numbers, filter=LONG))


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
    async with connect(url, numbers.name, timedelta(seconds=5)) as reader:
        reading = asyncio.create_task(anext(found(reader, filter=LONG)))
        await until_under_way(numbers, 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await under_way(numbers) == []
    await numbers.command("dropUser", "reader")


async def test_what_mongodb_refuses_is_raised(numbers: Database) -> None:
    with pytest.raises(OperationFailure):
        await anext(found(numbers, filter={"$nothing": 1}))
