"""A stand-in for sensors: records as they would send them, a line each, a share of them faulty."""

import json
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple


class Curve(NamedTuple):
    """A temperature that swings about a mean, in degrees Fahrenheit; `period` in seconds."""

    mean: float
    swing: float
    period: float


SENSORS = {
    "greenhouse": Curve(78, 9, 1200),
    "roof": Curve(61, 14, 1800),
    "cellar": Curve(54, 1.5, 3600),
    "freezer": Curve(-2, 3, 600),
}
STEP = timedelta(seconds=1)
EPOCH = datetime(2019, 6, 24, 15)  # noqa: DTZ001  sensors say no offset
ZERO = datetime(1970, 1, 1)  # noqa: DTZ001  as above
FAULTS: tuple[dict[str, Any], ...] = (
    {"temperature_f": -500},
    {"temperature_f": "warm"},
    {"temperature_f": None},
    {"time_of_measurement": "yesterday"},
    {"time_of_measurement": 1561388400},
    {"type": "Actuator"},
    {"id": ""},
)
CUT_SHORT = 0.2
"""Of the faulty records, those that are no JSON."""


def records(*, start: datetime, seed: int | None = None, faulty: float = 0.05) -> Iterator[str]:
    """Records without end, of each sensor in turn, each a second later than the one before.

    They are the same for the same start and seed; a sensor's curve depends on the time alone, so that runs join up.
    """
    chance = random.Random(seed)  # noqa: S311  no secret hangs on it
    time = start
    while True:
        for name, curve in SENSORS.items():
            phase = (time - ZERO).total_seconds() / curve.period * math.tau
            temperature = curve.mean + curve.swing * math.sin(phase) + chance.gauss(0, 0.1)
            content = {"temperature_f": round(temperature, 2), "time_of_measurement": time.isoformat()}
            record = {"id": name, "type": "Sensor", "content": content}
            yield _faulty(record, chance) if chance.random() < faulty else json.dumps(record)
            time += STEP


def _faulty(record: dict[str, Any], chance: random.Random) -> str:
    if chance.random() < CUT_SHORT:
        return json.dumps(record)[: chance.randrange(1, 40)]
    for name, value in chance.choice(FAULTS).items():
        (record if name in record else record["content"])[name] = value
    return json.dumps(record)
