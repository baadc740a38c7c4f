"""What MongoDB reads for a list."""

from typing import Any

import pytest

from datacosmos.errors import TooManyPoints
from datacosmos.store.mongo.connection import Database, Document
from datacosmos.store.mongo.ranges import Position, Window, ranges
from datacosmos.store.points.points import Points
from datacosmos.store.points.queries import Filter, accepted_of, find
from tests.pages import whole
from tests.some_points import NOON, SECOND, SERIES, point

MIDDLE = Position(NOON + 20 * SECOND, "id")
NO_VALUE, SOME_VALUES = Filter(), Filter(value_from=0.25, value_to=0.75)


@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("after", [None, MIDDLE], ids=["from the end", "after a page"])
@pytest.mark.parametrize("chosen", [NO_VALUE, SOME_VALUES], ids=["all", "by value"])
async def test_a_short_list_from_either_end_is_read_of_an_index_alone_and_not_beyond_its_length(
    points: Points, database: Database, down: bool, after: Position | None, chosen: Filter
) -> None:
    await points.add([point(NOON + n // 2 * SECOND) for n in range(80)])
    where = ranges(accepted_of(SERIES, chosen), "time", Window(NOON), after, down=down)
    command = find(where, "time", 5, 5, {"_id": 1, "time": 1, "value": 1}, down=down)
    explained = await database.command({"explain": command, "verbosity": "executionStats"})
    stats = explained["executionStats"]
    assert (stats["nReturned"], stats["totalDocsExamined"]) == (5, 0)
    assert stats["totalKeysExamined"] <= 10


@pytest.mark.parametrize("fields", [{"time", "value"}, {"tags"}, None], ids=["columns", "documents", "whole points"])
async def test_points_are_not_looked_for_any_longer_than_others_can_wait(
    points: Points, monkeypatch: pytest.MonkeyPatch, fields: set[str] | None
) -> None:
    def slow(*chosen: Any, **more: Any) -> Document:
        return accepted_of(*chosen, **more) | {"$where": "sleep(60000) || true"}

    monkeypatch.setattr("datacosmos.store.points.points.accepted_of", slow)
    monkeypatch.setattr("datacosmos.store.points.queries.CHOOSING_MS", 20)
    await points.add([point()])
    with pytest.raises(TooManyPoints, match="narrow start and end"):
        if fields is None:
            await whole(points.accepted(SERIES, Window(), limit=9, chosen=SOME_VALUES))
        else:
            await anext(points.find_accepted(SERIES, Window(), fields, limit=9, chosen=SOME_VALUES))
