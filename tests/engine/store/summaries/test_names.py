"""Parts of names, looked for in a list that is kept in memory."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from datacosmos.store.mongo.connection import Database, for_reads
from datacosmos.store.mongo.finding import Finder
from datacosmos.store.stores import Stores
from datacosmos.store.summaries import listed_names
from datacosmos.store.summaries.listed_names import ListedNames

ADDED = [("sensors/b", "sensors"), ("sensors/A", "sensors"), ("datacosmos", "data_server"), ("sensors/Ä", "sensors")]


async def found(stores: Stores, search: str, **changes: Any) -> list[str]:
    asked: dict[str, Any] = {"search": search, "source": None, "among": None}
    page: dict[str, Any] = {"beyond": None, "limit": 9, "down": False}
    names = stores.summaries.names
    some = [name for name, _ in await names.page(**(asked | page | changes))]
    if not changes.keys() & page.keys():
        assert await names.count(**(asked | changes)) == len(some)
    return some


@pytest.mark.parametrize("most", [0, 1000])
async def test_names_are_found_by_a_part_also_where_they_are_too_many_to_be_kept(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(listed_names, "MOST", most)
    await stores.summaries.names.add(ADDED)
    assert await found(stores, "SENSORS/") == ["sensors/A", "sensors/b", "sensors/Ä"]
    assert await found(stores, "ä") == ["sensors/Ä"]
    assert await found(stores, "o", source="data_server") == ["datacosmos"]
    assert await found(stores, "s", among=["sensors/b", "datacosmos", "others"]) == ["datacosmos", "sensors/b"]
    assert await found(stores, "s", beyond="sensors/A", limit=1) == ["sensors/b"]
    assert await found(stores, "s", beyond="sensors/b", down=True) == ["sensors/A", "datacosmos"]


async def test_a_name_is_found_as_soon_as_it_is_stored(stores: Stores) -> None:
    await stores.summaries.names.add(ADDED)
    assert len(await found(stores, "sensors")) == 3
    await stores.summaries.names.add([("sensors/c", "sensors")])
    assert len(await found(stores, "sensors")) == 4


@asynccontextmanager
async def inserting(database: Database, name: str) -> AsyncGenerator[None]:
    """MongoDB counts the name while this lasts, but nobody reads it before."""
    async with await database.client.start_session() as session, session.start_transaction():
        await database["names"].insert_one({"_id": name, "source": "sensors"}, session=session)
        yield


async def test_a_name_is_found_as_soon_as_it_is_stored_though_it_was_counted_before(
    stores: Stores, database: Database
) -> None:
    await stores.summaries.names.add(ADDED)
    async with inserting(database, "sensors/c"):
        assert len(await found(stores, "sensors")) == 3
    assert len(await found(stores, "sensors")) == 4


async def test_a_count_that_stays_wrong_is_known_to_be_so(
    stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.summaries.names.add(ADDED)
    listed = ListedNames(for_reads(database)["names"], Finder(database, "names"))
    async with inserting(database, "sensors/c"):
        monkeypatch.setattr(listed_names, "LONGEST", 0)
        await listed.names()
        await listed.names()
        monkeypatch.setattr(listed_names, "LONGEST", 60)
        monkeypatch.setattr(Finder, "count", None)  # not even one by one
        assert await listed.names() is await listed.names()


async def test_names_are_not_read_anew_because_they_are_counted_wrongly(stores: Stores, database: Database) -> None:
    await stores.summaries.names.add(ADDED)
    listed = ListedNames(for_reads(database)["names"], Finder(database, "names"))
    async with inserting(database, "sensors/c"):
        assert await listed.names() is await listed.names()
    assert [each.name for each in await listed.names() or ()][-2:] == ["sensors/c", "sensors/Ä"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What MongoDB is asked for from here on."""
    read, pages = list[Any](), Finder.pages

    def noting(finder: Finder, command: Any, *args: Any, **options: Any) -> Any:
        read.append(command)
        return pages(finder, command, *args, **options)

    monkeypatch.setattr(Finder, "pages", noting)
    return read


async def test_all_who_ask_at_once_read_the_names_once_or_twice(stores: Stores, read: list[Any]) -> None:
    await stores.summaries.names.add(ADDED)
    asked: dict[str, Any] = {"search": "s", "source": None, "among": None, "beyond": None, "limit": 9, "down": False}
    answers = await asyncio.gather(*(stores.summaries.names.page(**asked) for _ in range(50)))
    assert {len(answer) for answer in answers} == {4}
    assert len(read) <= 2


async def test_all_who_ask_at_once_count_them_together(stores: Stores, database: Database, read: list[Any]) -> None:
    await stores.summaries.names.add(ADDED)
    listed = ListedNames(for_reads(database)["names"], Finder(database, "names"))
    async with inserting(database, "sensors/c"):
        await listed.names()
        read.clear()
        await asyncio.gather(*(listed.names() for _ in range(50)))
    assert len(read) < 50
