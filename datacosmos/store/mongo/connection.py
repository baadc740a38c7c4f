"""The clients of a process, and what their failures mean.

Motor's threads and connections are for writes and health. Reads, which may be long and many, go through PyMongo's own
client on connections apart, and need no thread; so however many there are, a write finds its way.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.client_session import ClientSession
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from datacosmos.bounds import Bound
from datacosmos.errors import SettingsError, StoreUnavailable, StoreUnreachable
from datacosmos.store.mongo.wire import wire_of

Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]
ReadDatabase = AsyncDatabase[Document]
UTC_TIMES = CodecOptions[Document](tz_aware=True)
PRIMARY_ONLY: Mapping[str, Any] = {"readPreference": "primary", "readPreferenceTags": "", "maxStalenessSeconds": -1}
READS = 16
"""Reads that MongoDB is asked for at once: with more, its threads would only wait for each other."""
LONG_LISTS, MOST_WAITING = 4, 1000
LONG_READS = 2 if (os.cpu_count() or 1) > 2 else 1
"""Reads for long lists among them: one list is encoded meanwhile, and a short one finds a core that isn't theirs."""

# What MongoDB says when it can't serve now but may later: looking for its members, stepping down, shutting down, out of
# time or of disk, in conflict with another write.
PASSING = frozenset({
    6,  # HostUnreachable
    7,  # HostNotFound
    24,  # LockTimeout
    43,  # CursorNotFound
    50,  # MaxTimeMSExpired
    89,  # NetworkTimeout
    91,  # ShutdownInProgress
    112,  # WriteConflict
    189,  # PrimarySteppedDown
    202,  # NetworkInterfaceExceededTimeLimit
    211,  # KeyNotFound: just started, it can't yet check who signed the time that a client knows
    215,  # DatabaseDropPending
    237,  # CursorKilled
    251,  # NoSuchTransaction
    262,  # ExceededTimeLimit
    9001,  # SocketException
    10107,  # NotWritablePrimary
    11600,  # InterruptedAtShutdown
    11602,  # InterruptedDueToReplStateChange
    13435,  # NotPrimaryNoSecondaryOk
    13436,  # NotPrimaryOrSecondary
    14031,  # OutOfDiskSpace
})  # fmt: skip
# The driver's own names and texts tell a caller nothing but where our servers are.
REASONS: dict[type[PyMongoError], str] = {
    ServerSelectionTimeoutError: "it can't be reached, or has no primary",
    WaitQueueTimeoutError: "every connection to it is in use",
    NetworkTimeout: "it did not answer in time",
    ExecutionTimeout: "it did not answer in time",
    ConfigurationError: "its address can't be looked up",
}
REFUSED = frozenset({13, 18})  # Unauthorized, AuthenticationFailed
LONGEST = 6
"""How many times as long as the timeout one answer may take, where MongoDB is heard meanwhile."""
ASKED_FOR = 2  # the same for a short write that a caller waits for
HEARTBEATS, SHORTEST = 5, 500
"""MongoDB is to be heard so often in the timeout, but not sooner again than after so many milliseconds. Where it is not
heard for the timeout, it hangs: the driver gives up all that waits for it."""


class Client(AsyncIOMotorClient[Document]):
    """Motor's, and `reads` beside it: PyMongo's own, for reads that hold a turn, and for what must not wait for one."""

    def __init__(self, url: str, long_lists: int, **options: Any) -> None:
        super().__init__(url, **options)
        self.reads: AsyncMongoClient[Document] = AsyncMongoClient(url, maxPoolSize=2 * READS, **options)
        self.wire = wire_of(self.reads, options["socketTimeoutMS"] / 1000)
        self.read_turns, self.long_reads = asyncio.Semaphore(READS), asyncio.Semaphore(LONG_READS)
        self.lists = Bound("lists", READS, "lists", waiting=MOST_WAITING)
        self.long_lists = Bound("long_lists", long_lists, "long lists", waiting=MOST_WAITING)
        self.slow_lists = Bound("slow_lists", long_lists, "slow lists")


@asynccontextmanager
async def connect(
    url: str, database: str, timeout: timedelta, *, long_lists: int = LONG_LISTS
) -> AsyncGenerator[Database]:
    """The database, with majority and journaled writes and UTC times; nothing is sent before it is used."""
    milliseconds = max(1, int(timeout.total_seconds() * 1000))  # 0 would be no limit
    try:
        client = Client(
            url,
            long_lists,
            tz_aware=True,
            appname="datacosmos",
            # Whatever the address says: from a secondary, what was acknowledged might be missing.
            **PRIMARY_ONLY,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            heartbeatFrequencyMS=max(SHORTEST, milliseconds // HEARTBEATS),
            # Not timeoutMS: that would bound a whole export, not its single answers.
            socketTimeoutMS=milliseconds * LONGEST,
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise SettingsError(f"DATACOSMOS_MONGODB_URL is no MongoDB address: {error}") from None
    try:
        yield client.get_database(database, codec_options=UTC_TIMES, write_concern=WriteConcern(w="majority", j=True))
    finally:
        client.close()
        if client.wire is not None:
            client.wire.close()
        await client.reads.close()


def client_of(database: Database) -> Client:
    client: object = database.client
    assert isinstance(client, Client)  # noqa: S101 - `connect` made it
    return client


def for_reads(database: Database) -> ReadDatabase:
    """The same database on the connections that are for reads."""
    return client_of(database).reads.get_database(database.name, codec_options=UTC_TIMES)


# Here a database is Any, as Motor's stubs take a collection's for a collection, and options for a method.
def bounded(database: Any, longest: int = LONGEST) -> AbstractContextManager[None]:
    """What is written in this block ends in MongoDB, by maxTimeMS, when it is no longer waited for here.

    A read ends with its connection, but a write goes on without its client. It may take `longest` times the timeout,
    tries included; but no longer than the timeout where MongoDB is still to be found, which is part of it.
    """
    is_found = database.client.topology_description.has_writable_server()
    return pymongo.timeout(timeout_of(database) * (longest if is_found else 1))


def timeout_of(database: Any) -> float:
    """Seconds: the timeout that `connect` was given."""
    return database.client.options.server_selection_timeout


def start_session(database: Any) -> ClientSession:
    """Motor's own way goes through a thread, where there is nothing to wait for."""
    return database.client.delegate.start_session(causal_consistency=False)


class StoreErrors:
    """As `store_errors` has it; a generator's way of a context takes four times as long, at each read."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        match error:
            case PyMongoError() if unavailable := _unavailable(error):
                raise unavailable from error
            case _:
                pass


def store_errors() -> StoreErrors:
    """Turns what the driver raises while MongoDB is unavailable into StoreUnavailable; everything else passes."""
    return STORE_ERRORS


STORE_ERRORS = StoreErrors()


class ReadErrors(StoreErrors):
    """Raises CancelledError, too, where the async client has swallowed it: as when its answer comes at that moment."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        if error is None and task is not None and task.cancelling():
            raise asyncio.CancelledError
        super().__exit__(kind, error, traceback)


def read_errors() -> ReadErrors:
    """The same for what is read by `for_reads`."""
    return READ_ERRORS


READ_ERRORS = ReadErrors()


def _unavailable(error: PyMongoError) -> StoreUnavailable | None:
    match error:
        case WriteConcernError() if not isinstance(error, WTimeoutError):
            return StoreUnavailable("MongoDB can't confirm a write by the majority of its members")
        case OperationFailure(code=code) if not isinstance(error, ExecutionTimeout | WTimeoutError):
            if code in REFUSED:
                return StoreUnavailable("MongoDB refused the user and password of DATACOSMOS_MONGODB_URL")
            return StoreUnavailable(f"MongoDB can't serve now: code {code}") if code in PASSING else None
        case ServerSelectionTimeoutError():
            return StoreUnreachable(f"MongoDB is unavailable{_reason(error)}")
        # An address of mongodb+srv is looked up as late as this, which is ConfigurationError.
        case ConfigurationError() | ConnectionFailure() | ExecutionTimeout() | WTimeoutError():
            return StoreUnavailable(f"MongoDB is unavailable{_reason(error)}")
        case _:
            return None


def _reason(error: PyMongoError) -> str:
    return next((f": {reason}" for kind, reason in REASONS.items() if isinstance(error, kind)), "")


def check_passing(details: Mapping[str, Any]) -> None:
    """Raises StoreUnavailable where a bulk write failed for a reason that may pass."""
    if details["writeConcernErrors"]:
        raise StoreUnavailable("MongoDB can't confirm a write by the majority of its members")
    if passing := {error["code"] for error in details["writeErrors"]} & PASSING:
        raise StoreUnavailable(f"MongoDB can't write now: code {min(passing)}")


async def ping(database: Database) -> None:
    """Raises StoreUnavailable unless MongoDB takes writes."""
    with store_errors():
        hello = await for_reads(database).command("hello")
    if not hello.get("isWritablePrimary"):
        raise StoreUnavailable("MongoDB has no primary, so it takes no writes")
