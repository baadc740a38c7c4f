"""One client for a process, and what its failures mean."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import WriteConcern
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from datacosmos.errors import SettingsError, StoreUnavailable

Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]

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
REFUSED = frozenset({13, 18})  # Unauthorized, AuthenticationFailed


@asynccontextmanager
async def connect(url: str, database: str, timeout: timedelta) -> AsyncGenerator[Database]:
    """The database, with majority and journaled writes and UTC times; nothing is sent before it is used."""
    milliseconds = max(1, int(timeout.total_seconds() * 1000))  # 0 would be no limit
    try:
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url,
            tz_aware=True,
            appname="datacosmos",
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            # Not timeoutMS: that would bound a whole export, not its single answers.
            socketTimeoutMS=milliseconds * 6,
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise SettingsError(f"DATACOSMOS_MONGODB_URL is no MongoDB address: {error}") from None
    try:
        yield client.get_database(
            database,
            codec_options=CodecOptions[Document](tz_aware=True),
            write_concern=WriteConcern(w="majority", j=True),
        )
    finally:
        client.close()


@contextmanager
def store_errors() -> Generator[None]:
    """Turns what the driver raises while MongoDB is away into StoreUnavailable; everything else passes."""
    try:
        yield
    except (
        AutoReconnect,
        ConfigurationError,  # a mongodb+srv address is looked up as late as this
        ConnectionFailure,
        ExecutionTimeout,
        WaitQueueTimeoutError,
        WTimeoutError,
    ) as error:
        raise StoreUnavailable(f"MongoDB is away: {type(error).__name__}") from error
    except WriteConcernError as error:
        raise StoreUnavailable("MongoDB can't confirm a write by the majority of its members") from error
    except OperationFailure as error:
        if error.code in REFUSED:
            raise StoreUnavailable("MongoDB refused the user and password of DATACOSMOS_MONGODB_URL") from error
        if error.code not in PASSING:
            raise
        raise StoreUnavailable(f"MongoDB can't serve now: code {error.code}") from error


def check_passing(details: Mapping[str, Any]) -> None:
    """Raises StoreUnavailable where a bulk write failed for a reason that may pass."""
    if details["writeConcernErrors"]:
        raise StoreUnavailable("MongoDB can't confirm a write by the majority of its members")
    if passing := {error["code"] for error in details["writeErrors"]} & PASSING:
        raise StoreUnavailable(f"MongoDB can't write now: code {min(passing)}")


async def ping(database: Database) -> None:
    """Raises StoreUnavailable unless MongoDB takes writes."""
    with store_errors():
        hello = await database.command("hello")
    if not hello.get("isWritablePrimary"):
        raise StoreUnavailable("MongoDB has no primary, so it takes no writes")
