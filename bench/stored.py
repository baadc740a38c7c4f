"""What queries are asked about: points, one a second, accepted, each with its payload; discards, readings, minutes."""

import math
import random
import struct
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import orjson
import pymongo
import uuid_utils
from bson.decimal128 import Decimal128

from datacosmos.domain.minutes import Location, sums_of
from datacosmos.domain.points import Point, Reading, Reason, Verdict
from datacosmos.sources.data_server import SERIES, SOURCE
from datacosmos.store.points.documents import to_document

START = datetime(2024, 1, 1, tzinfo=UTC)
BATCH = 10_000
PAYLOAD = b'{"id":"a1","type":"Sensor","content":{"temperature_f":90,"time_of_measurement":"2019-06-24T15:00:00"}}'
DISCARDS, READINGS, MINUTES = 20_000, 100_000, 100_000


def documents() -> Iterator[dict[str, Any]]:
    draw = random.Random(0)
    for second in range(10**9):
        (value,) = struct.unpack("<f", raw := struct.pack("<f", math.sin(second / 600) + draw.gauss(0, 0.05)))
        time = START + timedelta(seconds=second)
        body = orjson.dumps({"time": int(time.timestamp()), "value": list(raw), "tags": []})
        reading = Reading(source=SOURCE, series=SERIES, time=time, value=value, raw=body)
        yield _document(reading, time + timedelta(milliseconds=250))


def discards() -> Iterator[dict[str, Any]]:
    """A third malformed."""
    draw = random.Random(1)
    for second in range(DISCARDS):
        time = START + timedelta(seconds=second)
        body = orjson.dumps({"time": second, "value": [1, 2, 3, 4], "tags": ["system"]})
        reading = Reading(source=SOURCE, series=SERIES, time=time, value=draw.gauss(0, 1), tags=("system",), raw=body)
        reasons: tuple[Reason, ...] = (Reason.SYSTEM, Reason.SUSPECT)
        if second % 3 == 0:
            reading = replace(reading, time=None, value=None, faults=("time: it is missing", "value: it is no float"))
            reasons = (Reason.MALFORMED,)
        yield _document(reading, time, *reasons)


def readings() -> Iterator[dict[str, Any]]:
    draw = random.Random(2)
    for second in range(READINGS):
        time, fahrenheit = START + timedelta(seconds=second), round(draw.gauss(70, 3), 1)
        body = orjson.dumps({"temperature_f": fahrenheit})
        celsius = (fahrenheit - 32) * 5 / 9
        reading = Reading(
            source="sensors", series="sensors/s1", time=time, value=celsius, sent_value=fahrenheit, raw=body
        )
        yield _document(reading, time)


def minutes() -> Iterator[dict[str, Any]]:
    """Two locations each, as they are folded."""
    draw = random.Random(3)
    for number in range(MINUTES):
        minute = START + timedelta(minutes=number)
        found = [_location(draw, minute + timedelta(seconds=second)) for second in (5, 25)]
        sums = {name: Decimal128(n) if isinstance(n, Decimal) else n for name, n in asdict(sums_of(*found)).items()}
        held = {"minute": minute, "seen": [each.offset for each in found], "duplicates": 0, **sums}
        yield {"_id": {"user": "ada", "minute": found[0].minute_as_sent}, "minutes": [held]}


def _location(draw: random.Random, time: datetime) -> Location:
    return Location(
        user_id="ada",
        sent=time,
        time=time,
        lat=round(40 + draw.random(), 6),
        long=round(-73 - draw.random(), 6),
        accuracy=round(20 * draw.random(), 2),
        speed=round(2 * draw.random(), 3),
    )


def document(source: str, series: str, time: datetime, value: float) -> dict[str, Any]:
    """An accepted point, with a payload as long as a sensor's is."""
    reading = Reading(source=source, series=series, time=time, value=value, identity=time.isoformat(), raw=PAYLOAD)
    return _document(reading, time)


def _document(reading: Reading, received_at: datetime, *reasons: Reason) -> dict[str, Any]:
    identifier = str(uuid_utils.uuid7())
    return to_document(Point(id=identifier, reading=reading, verdict=Verdict(reasons), received_at=received_at))


def store(mongodb_url: str, count: int, others: bool = True) -> None:
    """Returns once all is on disk, so that no query has to wait for it. The indexes are there already."""
    kinds = [("points", islice(documents(), count))]
    if others:
        kinds += [("points", discards()), ("points", readings()), ("minutes", minutes())]
    series = [{"_id": SERIES, "source": SOURCE}, {"_id": "sensors/s1", "source": "sensors"}]
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        for collection, made in kinds:
            while batch := list(islice(made, BATCH)):
                client["datacosmos"][collection].insert_many(batch, ordered=False)
        for named in series:  # the service may have found it already
            client["datacosmos"]["names"].replace_one({"_id": named["_id"]}, named, upsert=True)
        client.admin.command("fsync")
