"""Parts of names, looked for in a list that is kept in memory."""

from typing import Any

import pytest

from datacosmos.store.stores import Stores
from datacosmos.store.summaries import listed_names

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
