"""What changes.py stores: a point at a time, so many a second, or a flood."""

import asyncio
import time
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pymongo
from stored import documents

from datacosmos.domain.points import Point, Reading, Verdict
from datacosmos.sources.data_server import SERIES, SOURCE
from datacosmos.store.points.points import Points

AT_ONCE = 500  # documents in an insert


async def paced(points: Points, rate: float, seconds: float) -> dict[bytes, float]:
    """When each was confirmed, by its id."""
    stored: dict[bytes, float] = {}
    began = time.monotonic()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(began + number / rate - time.monotonic())
        now = datetime.now(UTC)
        reading = Reading(source=SOURCE, series=SERIES, time=now, value=0.5, raw=b"{}")
        point = Point(id=f"{now.timestamp():.6f}", reading=reading, verdict=Verdict(), received_at=now)
        await points.add([point])
        stored[point.id.encode()] = time.monotonic()
    return stored


def flood(mongodb_url: str, count: int, rate: float) -> tuple[float, float]:
    """For a process of its own: the seconds that it took, and when it was over."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        made = list(islice(documents(), count))
        began = time.monotonic()
        for first in range(0, count, AT_ONCE):
            time.sleep(max(0, began + first / rate - time.monotonic()))
            client["datacosmos"]["points"].insert_many(made[first : first + AT_ONCE], ordered=False)
        return (ended := time.monotonic()) - began, ended
