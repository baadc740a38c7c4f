"""Writes that must happen whole, and that are tried again where another's write came between."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from datacosmos.errors import StoreUnavailable
from datacosmos.retries import Backoff, retry
from datacosmos.store.mongo.connection import ASKED_FOR, Database, bounded, check_passing, store_errors, timeout_of

DUPLICATE_KEY, WRITE_CONFLICT = 11000, 112
NO_SUCH_TRANSACTION, LIVED_TOO_LONG, TOO_LARGE_FOR_CACHE = 251, 290, 388
UNKNOWN_COMMIT, TRANSIENT = "UnknownTransactionCommitResult", "TransientTransactionError"
CONFLICTS = Backoff(timedelta(milliseconds=1), timedelta(milliseconds=20), patience=timedelta(seconds=10))

Session = AsyncIOMotorClientSession
T = TypeVar("T")


class Conflict(Exception):
    """What a write rested on was changed by another: look again, then try again."""

    why = "others write to the same place without a pause: try again"


class TransactionAborted(Conflict):
    """MongoDB undid a transaction by itself: it took too long, or too much memory."""

    why = "MongoDB can't write this much at once now: split the request, or send it when there is less to do"


class Attempt(NamedTuple):
    """How often this write has lost to another so far, and until when (loop time) it may go on."""

    losses: int
    deadline: float


async def retry_conflicts(attempt: Callable[[Attempt], Awaitable[T]], backoff: Backoff = CONFLICTS) -> T:
    """The result of the first attempt without a Conflict; raises StoreUnavailable where there is none in time."""
    deadline = asyncio.get_running_loop().time() + backoff.patience.total_seconds()
    losses = 0

    async def act() -> T:
        with store_errors():
            return await attempt(Attempt(losses, deadline))

    def lose(_: Conflict, before: int) -> None:
        nonlocal losses
        losses = before + 1

    try:
        return await retry(act, backoff, on=Conflict, failed=lose)
    except Conflict as error:
        raise StoreUnavailable(error.why) from error


async def transaction(database: Database, act: Callable[[Session], Awaitable[None]], deadline: float) -> None:
    """All that `act` does, or nothing; raises Conflict where another attempt may do."""
    until = max(deadline, asyncio.get_running_loop().time() + ASKED_FOR * timeout_of(database))
    async with await database.client.start_session() as session:
        acted = False
        try:
            with bounded(database, ASKED_FOR):
                async with session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True)):
                    await act(session)
                    acted = True
        except PyMongoError as error:
            if not (acted and _unknown(error)):
                raise as_conflict(error) from None
            await _commit_again(database, session, error, until)


async def _commit_again(database: Database, session: Session, error: PyMongoError, until: float) -> None:
    """Until MongoDB says what became of the commit, for which each time has its own; it never does it twice."""
    while _unknown(error) and asyncio.get_running_loop().time() <= until:
        try:
            with bounded(database, 1):
                await session.commit_transaction()
        except PyMongoError as again:
            error = again
            await asyncio.sleep(0.05)
        else:
            return
    raise as_conflict(error) from None


def _unknown(error: PyMongoError) -> bool:
    """Whether a commit that failed so may have happened: one that takes too long is broken off at any moment."""
    return error.has_error_label(UNKNOWN_COMMIT) or LIVED_TOO_LONG in _codes(error)


def as_conflict(error: PyMongoError) -> Exception:
    """A Conflict where it came of another's write at the same time or of a write too large, else what to raise.

    To be raised from None: the text of a BulkWriteError holds what was to be written.
    """
    codes = _codes(error)
    if codes & {NO_SUCH_TRANSACTION, LIVED_TOO_LONG, TOO_LARGE_FOR_CACHE}:
        return TransactionAborted()
    # MongoDB marks it alike where it is unavailable.
    if error.has_error_label(TRANSIENT) and not isinstance(error, ConnectionFailure):
        return Conflict()
    if not isinstance(error, BulkWriteError):
        return error
    if codes and codes <= {DUPLICATE_KEY, WRITE_CONFLICT}:
        return Conflict()
    check_passing(error.details)
    return OperationFailure(f"MongoDB refused to write, with the codes {sorted(codes)}", min(codes, default=None))


def _codes(error: PyMongoError) -> set[int]:
    if isinstance(error, BulkWriteError):
        details: Mapping[str, Any] = error.details
        return {fault["code"] for kind in ("writeErrors", "writeConcernErrors") for fault in details.get(kind, ())}
    return {error.code} if isinstance(error, OperationFailure) and error.code is not None else set()
