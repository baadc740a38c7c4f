"""Points to store, and what of them is stored."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from datacosmos.domain.points import Point, Reading, Reason, Verdict
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.points import Points
from tests.pages import whole

NOON = datetime(2024, 3, 28, 12, tzinfo=UTC)
SECOND, MILLISECOND, MICROSECOND = timedelta(seconds=1), timedelta(milliseconds=1), timedelta(microseconds=1)
SERIES = "datacosmos"
EVERYTHING = Window()
IDS = (f"id-{number:06}" for number in count())


def point(time: datetime | None = NOON, *reasons: Reason, at: datetime = NOON, **changes: Any) -> Point:
    reading = Reading(source="data_server", series=SERIES, time=time, value=0.5, raw=b"{}")
    reading = replace(reading, **{key: value for key, value in changes.items() if key != "id"})
    return Point(id=changes.get("id", next(IDS)), reading=reading, verdict=Verdict(reasons), received_at=at)


def named(identity: str, **changes: Any) -> Point:
    return point(identity=identity, **changes)


def ids(points: Sequence[Point]) -> list[str]:
    return [stored.id for stored in points]


async def everything(database: Database) -> dict[str, dict[str, Any]]:
    return {document["_id"]: document async for document in database["points"].find()}


async def accepted(points: Points, window: Window = EVERYTHING) -> list[str]:
    return ids(await whole(points.accepted(SERIES, window, limit=10_000)))


async def discards(points: Points, reason: Reason | None = None, window: Window = EVERYTHING) -> list[str]:
    return ids(await whole(points.discards(reason, window, limit=10_000)))
