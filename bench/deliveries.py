"""What the writer is given: deliveries as the poller and POST /sensors put them on the queue."""

import random
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import orjson
import uuid_utils

from datacosmos.domain.points import Delivery
from datacosmos.settings import Settings
from datacosmos.sources import data_server, sensors

START = datetime(2024, 1, 1, tzinfo=UTC)
SENSORS = 100
SETTINGS = Settings.model_construct()
[DATA_SERVER] = data_server.configured(SETTINGS)


class Kind(NamedTuple):
    """Where readings come from, and how many a message holds."""

    source: str
    readings: int
    duplicates: float = 0
    sensors: int = SENSORS

    @property
    def title(self) -> str:
        held = "a reading a message" if self.readings == 1 else f"{self.readings:,} readings a message"
        return f"{self.source}, {held}" + (f", {self.duplicates:.0%} duplicates" if self.duplicates else "")


POLLED = Kind("data server", 1)
FEW = Kind("sensors", 10)
STREAMED = Kind("sensors", 1_000)
REPEATED = Kind("sensors", 1_000, duplicates=0.1)


def records(duplicates: float, sensors: int) -> Iterator[bytes]:
    """A second's of each sensor, one after the other; some of them sent again."""
    draw = random.Random(0)
    fresh = 0
    while True:
        again = fresh > 0 and draw.random() < duplicates
        number = draw.randrange(fresh) if again else fresh
        fresh += not again
        time = START + timedelta(seconds=number // sensors)
        content = {"temperature_f": 60 + number % 40, "time_of_measurement": f"{time:%FT%T}"}
        yield orjson.dumps({"id": f"s{number % sensors}", "type": "Sensor", "content": content})


def deliveries(kind: Kind, readings: int) -> Iterator[Delivery]:
    """Under ids of their own in each call, so that none is a redelivery."""
    if kind.source == "data server":
        yield from (_polled(second) for second in range(readings))
        return
    sent = records(kind.duplicates, kind.sensors)
    source = sensors.source(SETTINGS)
    for _ in range(readings // kind.readings):
        batch = list(islice(sent, kind.readings))
        yield source.receive(batch, delivery_id=_id(), received_at=START)


def _polled(second: int) -> Delivery:
    time = START + timedelta(seconds=second)
    value = list(struct.pack("<f", second / 7))
    body = orjson.dumps({"time": int(time.timestamp()), "value": value, "tags": []})
    return DATA_SERVER.receive([body], delivery_id=_id(), received_at=time)


def _id() -> str:
    return str(uuid_utils.uuid7())
