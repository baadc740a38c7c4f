"""The points that queries are asked about: one a second, accepted, each with its payload."""

import math
import random
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import orjson
import pymongo
import uuid_utils

from datacosmos.domain.points import Point, Reading, Verdict
from datacosmos.sources.data_server import SERIES, SOURCE
from datacosmos.store.points.documents import to_document

START = datetime(2024, 1, 1, tzinfo=UTC)
BATCH = 10_000


def documents() -> Iterator[dict[str, Any]]:
    draw = random.Random(0)
    for second in range(10**9):
        (value,) = struct.unpack("<f", raw := struct.pack("<f", math.sin(second / 600) + draw.gauss(0, 0.05)))
        time = START + timedelta(seconds=second)
        body = orjson.dumps({"time": int(time.timestamp()), "value": list(raw), "tags": []})
        reading = Reading(source=SOURCE, series=SERIES, time=time, value=value, raw=body)
        received_at = time + timedelta(milliseconds=250)
        yield to_document(
            Point(id=str(uuid_utils.uuid7()), reading=reading, verdict=Verdict(), received_at=received_at)
        )


def store(mongodb_url: str, count: int) -> None:
    """Returns once all is on disk, so that no query has to wait for it. The indexes are there already."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        made = documents()
        for first in range(0, count, BATCH):
            batch = list(islice(made, min(BATCH, count - first)))
            client["datacosmos"]["points"].insert_many(batch, ordered=False)
        client.admin.command("fsync")
