"""The format of a database: checked at each start, migrated where it is an older one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from datacosmos import __version__
from datacosmos.errors import NewerFormat
from datacosmos.settings import Settings
from datacosmos.store.format import Format
from datacosmos.store.mongo.connection import Database, connect
from datacosmos.store.stores import Stores


async def add_units(database: Database) -> None:
    await database["points"].update_many({"unit": None}, {"$set": {"unit": "C"}, "$inc": {"changes": 1}})


async def name_units(database: Database) -> None:
    await database["points"].update_many({"unit": "C"}, {"$set": {"unit": "celsius"}, "$inc": {"changes": 1}})


async def version(database: Database) -> int:
    document = await database["format"].find_one()
    assert document is not None
    return document["version"]


@asynccontextmanager
async def connections(settings: Settings, count: int) -> AsyncGenerator[list[Database]]:
    """As many processes have."""
    assert settings.mongodb_url
    url, name = settings.mongodb_url.get_secret_value(), settings.mongodb_database
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect(url, name, settings.mongodb_timeout)) for _ in range(count)]


async def test_an_empty_database_has_the_newest_format_and_needs_no_migration(database: Database) -> None:
    await Format(database, [add_units, name_units]).prepare()
    assert await version(database) == 3
    await Format(database, [add_units, name_units]).prepare()
    assert await version(database) == 3


async def test_a_database_of_the_first_release_is_version_1_and_runs_every_migration_once(database: Database) -> None:
    await database["points"].insert_many([{"_id": "a"}, {"_id": "b"}])
    for _ in range(2):
        await Format(database, [add_units, name_units]).prepare()
        found = await database["points"].find().sort("_id").to_list(None)
        assert found == [{"_id": "a", "unit": "celsius", "changes": 2}, {"_id": "b", "unit": "celsius", "changes": 2}]
        assert await database["format"].find().to_list(None) == [
            {"_id": "format", "version": 3, "release": __version__}
        ]


async def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(database: Database) -> None:
    await database["format"].insert_one({"_id": "format", "version": 7, "release": "9.1.0"})
    with pytest.raises(NewerFormat, match=r"has format 7, written by DataCosmos 9\.1\.0; this release, .*, knows"):
        await Stores.of(database).prepare()
    assert await database.list_collection_names() == ["format"]
    assert await version(database) == 7


async def test_processes_that_start_together_agree_on_the_format(settings: Settings, database: Database) -> None:
    async with connections(settings, 8) as databases:
        await asyncio.gather(*(Stores.of(each).prepare() for each in databases))
    assert await database["format"].count_documents({}) == 1
    assert await version(database) == await newest(settings)


async def newest(settings: Settings) -> int:
    """That of a database that is made now."""
    beside = settings.model_copy(update={"mongodb_database": f"{settings.mongodb_database}_beside"})
    async with connections(beside, 1) as (empty,):
        await Format(empty).prepare()
        found = await version(empty)
        await empty.client.drop_database(empty.name)
    return found


async def test_processes_that_start_together_migrate_to_one_result(settings: Settings, database: Database) -> None:
    await database["points"].insert_many([{"_id": number} for number in range(2000)])
    async with connections(settings, 6) as databases:
        await asyncio.gather(*(Format(each, [add_units, name_units]).prepare() for each in databases))
    assert await version(database) == 3
    assert await database["points"].count_documents({"unit": "celsius", "changes": 2}) == 2000
