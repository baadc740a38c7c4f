"""Writes that must happen whole, and that are tried again where another's write came between."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from datacosmos.errors import StoreUnavailable
from datacosmos.store.connection import Database, store_errors

DUPLICATE_KEY, WRITE_CONFLICT = 11000, 112
UNKNOWN_COMMIT, TRANSIENT = "UnknownTransactionCommitResult", "TransientTransactionError"
PATIENCE = 10.0  # seconds that a write is tried again

Session = AsyncIOMotorClientSession
T = TypeVar("T")


class Conflict(Exception):
    """What a write rested on was changed by another: look again, then try again."""


class Try(NamedTuple):
    """How often this write has lost to another so far, and until when (loop time) it may go on."""

    losses: int
    deadline: float


async def insist(attempt: Callable[[Try], Awaitable[T]]) -> T:
    """What the first attempt without a Conflict gives; raises StoreUnavailable where there is none in time."""
    loop = asyncio.get_running_loop()
    deadline, losses = loop.time() + PATIENCE, 0
    while True:
        try:
            with store_errors():
                return await attempt(Try(losses, deadline))
        except Conflict as error:
            if loop.time() > deadline:
                raise StoreUnavailable("others write to the same place without a pause: try again") from error
        losses += 1
        # Apart from each other, so that those who collided do not collide again.
        await asyncio.sleep(random.uniform(0, 0.002 * min(losses, 10)))  # noqa: S311


async def transaction(database: Database, act: Callable[[Session], Awaitable[None]], deadline: float) -> None:
    """All that `act` does, or nothing; raises Conflict where another attempt may do."""
    async with await database.client.start_session() as session:
        try:
            async with session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True)):
                await act(session)
        except PyMongoError as error:
            if error.has_error_label(UNKNOWN_COMMIT):
                await _commit_again(session, deadline)
            elif passing(error):
                raise Conflict from error
            else:
                raise


async def _commit_again(session: Session, deadline: float) -> None:
    """Until MongoDB says what became of the commit; it never does it twice."""
    while True:
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not error.has_error_label(UNKNOWN_COMMIT) or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return


def passing(error: PyMongoError) -> bool:
    """Whether it came of another's write at the same time; MongoDB marks it alike where it is away."""
    if error.has_error_label(TRANSIENT):
        return not isinstance(error, ConnectionFailure)
    if isinstance(error, BulkWriteError):
        faults: list[Any] = dict(error.details).get("writeErrors", [])
        return bool(faults) and all(fault["code"] in (DUPLICATE_KEY, WRITE_CONFLICT) for fault in faults)
    return False
