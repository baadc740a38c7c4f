# pyright: reportUnknownMemberType=false
import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

import pytest
from pymongo import InsertOne
from pymongo.errors import PyMongoError

from datacosmos.errors import StoreUnavailable
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import ASKED_FOR, Database, connect
from datacosmos.store.mongo.transactions import (
    CONFLICTS,
    Attempt,
    Session,
    TransactionAborted,
    retry_conflicts,
    transaction,
)

LIMIT = "transactionLifetimeLimitSeconds"


@pytest.fixture
async def impatient(database: Database) -> AsyncGenerator[Database]:
    """A MongoDB that gives up transactions after a second."""
    admin = database.client["admin"]
    before = (await admin.command({"getParameter": 1, LIMIT: 1}))[LIMIT]
    await admin.command({"setParameter": 1, LIMIT: 1})
    yield database
    await admin.command({"setParameter": 1, LIMIT: before})


async def test_a_transaction_that_mongodb_gives_up_is_told_apart_from_one_that_others_disturb(
    impatient: Database,
) -> None:
    async def act(session: Session) -> None:
        await impatient["some"].insert_one({}, session=session)
        while True:  # until MongoDB says that there is no such transaction
            await impatient["some"].find_one({}, session=session)

    with pytest.raises(TransactionAborted):
        await transaction(impatient, act, 0)
    assert await impatient["some"].count_documents({}) == 0


async def test_who_sent_too_much_at_once_is_told_to_split_it() -> None:
    async def attempt(attempt: Attempt) -> None:
        await asyncio.sleep(max(0, attempt.deadline - asyncio.get_running_loop().time()))
        raise TransactionAborted

    with pytest.raises(StoreUnavailable, match="split the request"):
        await retry_conflicts(attempt, replace(CONFLICTS, patience=timedelta(milliseconds=10)))


async def test_an_error_of_a_transaction_holds_nothing_of_what_was_written(database: Database) -> None:
    await database.create_collection("strict", validator={"n": {"$type": "int"}})

    async def act(session: Session) -> None:
        await database["strict"].bulk_write([InsertOne({"n": "a secret"})], session=session)

    with pytest.raises(PyMongoError, match="121") as caught:
        await transaction(database, act, 0)
    assert "a secret" not in repr(caught.value)
    assert caught.value.__suppress_context__


async def test_mongodb_is_asked_what_became_of_a_commit_for_which_no_time_was_left(
    settings: Settings, database: Database
) -> None:
    assert settings.mongodb_url
    url, short = settings.mongodb_url.get_secret_value(), timedelta(seconds=0.2)
    async with connect(url, database.name, short) as hurried:

        async def act(session: Session) -> None:
            await hurried["some"].insert_one({}, session=session)
            await asyncio.sleep(1.1 * ASKED_FOR * short.total_seconds())

        await hurried["some"].insert_one({})
        await transaction(hurried, act, asyncio.get_running_loop().time() + 5)
    assert await database["some"].count_documents({}) == 2
