# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymongo import WriteConcern
from pymongo import lock as pymongo_lock
from pymongo.asynchronous import topology
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from datacosmos.domain.points import Point, Reading, Verdict
from datacosmos.engines import embedded_engines
from datacosmos.errors import SettingsError, StoreUnavailable
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database, connect, for_reads, ping, store_errors
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.mongo.replica_set import NAME
from datacosmos.store.points.points import Points
from tests.pages import whole

TIMEOUT = timedelta(milliseconds=200)
NOON = datetime(2024, 3, 28, 12, tzinfo=UTC)
POINT = Point(
    id="1", reading=Reading(source="data_server", series="s", time=NOON, value=0.5), verdict=Verdict(), received_at=NOON
)


@pytest.fixture(params=["refuses", "hangs", "has no name"])
def unavailable(request: pytest.FixtureRequest) -> Generator[str]:
    """The address of a MongoDB that is unavailable, in each way it can be."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "hangs":
            listener.listen()
        host, port = listener.getsockname()
        yield f"mongodb://me:sesame@{'nowhere.invalid' if request.param == 'has no name' else f'{host}:{port}'}"


async def read(database: Database) -> None:
    async for _ in Points(database).columns("s", [Window()], batch=10):
        pass


async def test_a_mongodb_that_is_unavailable_is_told_within_the_timeout(unavailable: str) -> None:
    async with connect(unavailable, "test", TIMEOUT) as database:
        points = Points(database)
        for asked in (
            ping(database),
            points.prepare(),
            points.add([POINT]),
            whole(points.accepted("s", Window(), limit=1)),
            whole(points.discards(None, Window(), limit=1)),
            read(database),
        ):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"^MongoDB is unavailable: it [a-z', ]+$") as caught:
                await asked
            assert time.monotonic() - began < 20  # the driver's own patience is 30 s
            assert "sesame" not in str(caught.value)


async def test_a_service_address_that_can_not_be_looked_up_is_a_mongodb_that_is_unavailable() -> None:
    async with connect("mongodb+srv://me:sesame@nowhere.invalid/", "test", TIMEOUT) as database:
        with pytest.raises(StoreUnavailable, match=r"^MongoDB is unavailable: its address can't be looked up$"):
            await ping(database)


async def test_a_mongodb_that_is_there_answers_a_ping(database: Database) -> None:
    await ping(database)


async def test_writes_are_confirmed_by_the_majority_and_journaled(database: Database) -> None:
    assert database.write_concern.document == {"w": "majority", "j": True}


@pytest.mark.parametrize("more", ["", "&readPreferenceTags=dc:here&maxStalenessSeconds=90"])
async def test_the_primary_is_asked_whatever_the_address_says(
    settings: Settings, database: Database, more: str
) -> None:
    assert settings.mongodb_url
    # Not by directConnection, which asks any member: here there is no secondary to ask.
    members = settings.mongodb_url.get_secret_value().partition("?")[0] + f"?replicaSet={NAME}"
    url = f"{members}&readPreference=secondary{more}"
    async with connect(url, settings.mongodb_database, 10 * TIMEOUT) as members_of:
        await members_of["times"].insert_one({"_id": 1})
        assert await members_of["times"].find_one() == {"_id": 1}
        assert await for_reads(members_of)["times"].find_one() == {"_id": 1}
        async with await members_of.client.start_session() as session, session.start_transaction():
            assert await members_of["times"].find_one(session=session) == {"_id": 1}


async def test_times_come_back_in_utc(database: Database) -> None:
    await database["times"].insert_one({"time": NOON})
    document = await database["times"].find_one()
    assert document is not None
    assert document["time"].isoformat() == "2024-03-28T12:00:00+00:00"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://me:sesame@host",
        "mongodb://",
        "mongodb://me:ses/ame@host",
        "mongodb://me:s@same@h",
    ],
)
async def test_an_address_that_is_none_is_a_setting_that_is_wrong(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATACOSMOS_MONGODB_URL is no MongoDB address: ") as caught:
        async with connect(url, "test", TIMEOUT):
            pass
    assert not any(part in str(caught.value) for part in ("sesame", "ses/ame", "s@same"))


@pytest.mark.parametrize("code", [13, 18, 50, 91, 189, 211, 10107, 11600, 13435, 14031])
def test_what_mongodb_can_not_do_now_is_told_as_unavailable(code: int) -> None:
    with pytest.raises(StoreUnavailable), store_errors():
        raise OperationFailure("sesame", code)


@pytest.mark.parametrize(
    "error",
    [
        *[AutoReconnect("m"), NetworkTimeout("m"), NotPrimaryError("m"), ServerSelectionTimeoutError("m")],
        *[WaitQueueTimeoutError("m"), ExecutionTimeout("m"), WTimeoutError("m"), ConfigurationError("m")],
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_exception_or_text_of_the_drivers_is_told(error: PyMongoError) -> None:
    with pytest.raises(StoreUnavailable, match=r"^MongoDB is unavailable(: [a-z', ]+)?$"), store_errors():
        raise error


def test_a_fault_of_ours_is_not_told_as_unavailable() -> None:
    with pytest.raises(OperationFailure), store_errors():
        raise OperationFailure("unknown operator: $nonsense", 2)


async def test_a_write_that_the_majority_does_not_confirm_is_no_success(database: Database) -> None:
    lonely = database.with_options(write_concern=WriteConcern(w=2, wtimeout=100))
    with pytest.raises(StoreUnavailable, match="majority"):
        await Points(lonely).add([POINT])


@pytest.fixture
async def own_database(tmp_path: Path) -> AsyncGenerator[Database]:
    """A database of an engine that the test may harm."""
    async with embedded_engines(tmp_path) as engines:
        assert engines.mongodb_url
        async with connect(engines.mongodb_url, "test", 10 * TIMEOUT) as database:
            yield database


async def test_without_a_primary_nothing_is_written_until_there_is_one_again(own_database: Database) -> None:
    database, points, admin = own_database, Points(own_database), own_database.client.admin
    await points.prepare()
    await read(database)
    await admin.command("replSetStepDown", 60, force=True)
    with pytest.raises(StoreUnavailable, match="no primary"):
        await ping(database)
    with pytest.raises(StoreUnavailable, match="is unavailable"):
        await points.add([POINT])
    await read(database)
    await admin.command("replSetFreeze", 0)
    await primary(database)
    await read(database)
    assert (await points.add([POINT])).stored == [POINT]


async def primary(database: Database) -> None:
    while True:
        try:
            return await ping(database)
        except StoreUnavailable:
            await asyncio.sleep(0.05)


async def test_two_may_wait_for_a_mongodb_that_is_unavailable_at_once(unavailable: str) -> None:
    async with connect(unavailable, "test", TIMEOUT) as database:
        outcomes = await asyncio.gather(*(ping(database) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)


async def test_whoever_is_cancelled_as_a_wait_for_mongodb_is_over_leaves_its_lock_free() -> None:
    lock = pymongo_lock._async_create_lock()
    condition = pymongo_lock._async_create_condition(lock)

    async def wait() -> None:
        async with condition:
            await topology._async_cond_wait(condition, 0.01)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    async with lock:
        await asyncio.sleep(0.05)  # its time is over, but it needs the lock
        waiting.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    async with asyncio.timeout(1), lock:
        pass
