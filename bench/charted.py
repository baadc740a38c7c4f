"""What charts are asked about: series of a year, of 1,000 points each and of an hour, stored as the writer does.

Documents of one series differ in five fields alone, which NumPy puts into copies of the first one's bytes.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import click
import msgspec
import numpy as np
import pymongo
import uuid_utils
import uvloop
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray
from service import Service
from stored import document

from datacosmos.domain.columns import EPOCH, MILLISECOND
from datacosmos.sources.sensors import series_of
from datacosmos.store.mongo.connection import connect
from datacosmos.store.points.indexes import INDEXES
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder

YEAR, HOUR = timedelta(days=365), timedelta(hours=1)
OF_EACH = 1_000
LIVE_RATE = 100
BATCH, INSERTERS = 10_000, 2
PATIENCE = timedelta(seconds=60)
Times = NDArray[np.int64]
Part = tuple[str, str, Times, NDArray[np.float64]]
"""Source, series, and times, in milliseconds since the epoch, and values of some of its points."""


def of_a_year(count: int, now: datetime) -> Iterator[Part]:
    """Of a wave a day, with noise."""
    draw = np.random.default_rng(0)
    for first in range(0, count, BATCH):
        since = np.arange(first, min(first + BATCH, count)) / count * (YEAR / MILLISECOND)
        values = 20 + 10 * np.sin(since / (timedelta(days=1) / MILLISECOND)) + draw.normal(0, 1, len(since))
        yield "data_server", "datacosmos", _milliseconds(now - YEAR) + since.astype(np.int64), values


def of_many(series: int, now: datetime) -> Iterator[Part]:
    """A minute apart."""
    draw = np.random.default_rng(1)
    times = _milliseconds(now) + (np.arange(OF_EACH) - OF_EACH) * 60_000
    for number in range(series):
        yield "sensors", f"sensors/{number}", times, draw.normal(20, 5, OF_EACH)


def of_the_hour(series: str, now: datetime) -> Iterator[Part]:
    count = LIVE_RATE * 3600
    times = _milliseconds(now - HOUR) + np.arange(count) * (1000 // LIVE_RATE)
    for first in range(0, count, BATCH):
        part = times[first : first + BATCH]
        yield "sensors", series, part, np.full(len(part), 20.0)


def _milliseconds(time: datetime) -> int:
    return (time - EPOCH) // MILLISECOND


@dataclass(frozen=True, slots=True)
class Charted:
    """What is stored up to a time, the seconds that its summaries took, and the sensor that has points of this hour."""

    points: int
    series: int
    until: datetime
    built: float
    live: str = ""


def charted(whole: Service, points: int, series: int) -> Charted:
    """What the folder of the service has of this, or else what is stored there now; and the last hour anew."""
    kept = whole.folder / "charted.json"
    now = datetime.now(UTC).replace(microsecond=0)
    found = msgspec.json.decode(kept.read_bytes(), type=Charted) if kept.exists() else None
    if found is None or (found.points, found.series) != (points, series):
        drop_indexes(whole.mongodb_url)
        store(whole.mongodb_url, of_a_year(points, now), points)
        store(whole.mongodb_url, of_many(series, now), series * OF_EACH)
        index(whole.mongodb_url)
        found = Charted(points, series, now, uvloop.run(build(whole.mongodb_url)))
        kept.write_bytes(msgspec.json.encode(found))
    live = f"live{now:%Y%m%d%H%M%S}"  # a run before this one may have had the same hour
    store(whole.mongodb_url, of_the_hour(series_of(live), now), LIVE_RATE * 3600)
    uvloop.run(build_hour(whole.mongodb_url, series_of(live), now))
    return replace(found, live=live)


async def build(mongodb_url: str) -> float:
    """Seconds that the summaries of all that is stored took, as at a first start."""
    async with connect(mongodb_url, "datacosmos", PATIENCE) as database:
        await database["summaries"].delete_many({"_id": {"$in": ["complete", "reached"]}})
        began, builder = time.monotonic(), Builder(database, Stores.of(database).summaries)
        await builder.build_older()
        while await builder.build():
            pass
        return time.monotonic() - began


async def build_hour(mongodb_url: str, series: str, now: datetime) -> None:
    async with connect(mongodb_url, "datacosmos", PATIENCE) as database:
        found = Stores.of(database).summaries
        await found.names.add([(series, "sensors")])
        last = int(now.timestamp()) // 60
        await found.marks.add({series: range(last - 60, last + 1)})
        await Builder(database, found).build()


def store(mongodb_url: str, parts: Iterator[Part], count: int) -> None:
    """Without the indexes that slow it down: they are for `index` to make."""
    with pymongo.MongoClient[Any](mongodb_url) as client, ThreadPoolExecutor(INSERTERS) as pool:
        points = client["datacosmos"]["points"]

        def insert(part: Part) -> int:
            points.insert_many(documents(*part), ordered=False)
            return len(part[2])

        with click.progressbar(length=count, label="storing", width=0) as bar:
            for stored in pool.map(insert, parts):
                bar.update(stored)


def drop_indexes(mongodb_url: str) -> None:
    with pymongo.MongoClient[Any](mongodb_url) as client:
        client["datacosmos"]["points"].drop_indexes()


def index(mongodb_url: str) -> None:
    with pymongo.MongoClient[Any](mongodb_url) as client:
        client["datacosmos"]["points"].create_indexes(INDEXES)
        client.admin.command("fsync")


def documents(source: str, series: str, times: Times, values: NDArray[np.float64]) -> list[RawBSONDocument]:
    first = bson.encode(document(source, series, EPOCH.replace(microsecond=1), 0.5))
    rows = np.frombuffer(first * len(times), np.uint8).reshape(len(times), -1).copy()
    identities = np.char.add(np.datetime_as_string((times * 1000 + 1).view("M8[us]")), "+00:00")
    ids = np.array([str(uuid_utils.uuid7()).encode() for _ in times])
    for name, column in {
        b"\x02_id\0": ids,
        b"\x09time\0": times,
        b"\x01value\0": values,
        b"\x09received_at\0": times,
        b"\x02identity\0": identities.astype("S32"),
    }.items():
        place = first.index(name) + len(name) + 4 * name.startswith(b"\x02")  # a string begins with its length
        wide = column.view(np.uint8).reshape(len(times), -1)
        rows[:, place : place + wide.shape[1]] = wide
    size, whole = len(first), rows.tobytes()
    return [RawBSONDocument(whole[begin : begin + size]) for begin in range(0, len(whole), size)]
