"""Writes that must happen whole, and that are tried again where another's write came between."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from datacosmos.errors import StoreUnavailable
from datacosmos.store.connection import Database, check_passing, store_errors

DUPLICATE_KEY, WRITE_CONFLICT = 11000, 112
NO_SUCH_TRANSACTION, LIVED_TOO_LONG, TOO_LARGE_FOR_CACHE = 251, 290, 388
UNKNOWN_COMMIT, TRANSIENT = "UnknownTransactionCommitResult", "TransientTransactionError"
PATIENCE = 10.0  # seconds that a write is tried again

Session = AsyncIOMotorClientSession
T = TypeVar("T")


class Conflict(Exception):
    """What a write rested on was changed by another: look again, then try again."""

    why = "others write to the same place without a pause: try again"


class GivenUp(Conflict):
    """MongoDB undid a transaction by itself: it took too long, or too much memory."""

    why = "MongoDB can't write this much at once now: split the request, or send it when there is less to do"


class Try(NamedTuple):
    """How often this write has lost to another so far, and until when (loop time) it may go on."""

    losses: int
    deadline: float


async def insist(attempt: Callable[[Try], Awaitable[T]], patience: float = PATIENCE) -> T:
    """What the first attempt without a Conflict gives; raises StoreUnavailable where there is none in time."""
    loop = asyncio.get_running_loop()
    deadline, losses = loop.time() + patience, 0
    while True:
        try:
            with store_errors():
                return await attempt(Try(losses, deadline))
        except Conflict as error:
            if loop.time() > deadline:
                raise StoreUnavailable(error.why) from error
        losses += 1
        # Apart from each other, so that those who collided do not collide again.
        await asyncio.sleep(random.uniform(0, 0.002 * min(losses, 10)))  # noqa: S311


async def transaction(database: Database, act: Callable[[Session], Awaitable[None]], deadline: float) -> None:
    """All that `act` does, or nothing; raises Conflict where another attempt may do."""
    async with await database.client.start_session() as session:
        acted = False
        try:
            async with session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True)):
                await act(session)
                acted = True
        except PyMongoError as error:
            if not (acted and _unknown(error)):
                raise judged(error) from None
            await _commit_again(session, deadline)


async def _commit_again(session: Session, deadline: float) -> None:
    """Until MongoDB says what became of the commit; it never does it twice."""
    while True:
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not _unknown(error) or asyncio.get_running_loop().time() > deadline:
                raise judged(error) from None
            await asyncio.sleep(0.05)
        else:
            return


def _unknown(error: PyMongoError) -> bool:
    """Whether a commit that failed so may have happened: one that takes too long is broken off at any moment."""
    return error.has_error_label(UNKNOWN_COMMIT) or LIVED_TOO_LONG in _codes(error)


def judged(error: PyMongoError) -> Exception:
    """A Conflict where it came of another's write at the same time or of a write too large, else what to raise.

    To be raised from None: the text of a BulkWriteError holds what was to be written.
    """
    codes = _codes(error)
    if codes & {NO_SUCH_TRANSACTION, LIVED_TOO_LONG, TOO_LARGE_FOR_CACHE}:
        return GivenUp()
    # MongoDB marks it alike where it is away.
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
