"""A stand-in for sensors: records as they would send them, a line each, a share of them faulty."""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

EPOCH = datetime(2019, 6, 24, 15)  # noqa: DTZ001  sensors say no offset
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
    """Records without end, each a second later than the one before; the same for the same start and seed."""
    chance = random.Random(seed)  # noqa: S311  no secret hangs on it
    temperature = chance.uniform(50, 80)
    time = start
    while True:
        temperature += chance.gauss(0, 0.3)
        content = {"temperature_f": round(temperature, 2), "time_of_measurement": time.isoformat()}
        record = {"id": f"{chance.getrandbits(128):032x}", "type": "Sensor", "content": content}
        yield _faulty(record, chance) if chance.random() < faulty else json.dumps(record)
        time += timedelta(seconds=1)


def _faulty(record: dict[str, Any], chance: random.Random) -> str:
    if chance.random() < CUT_SHORT:
        return json.dumps(record)[: chance.randrange(1, 40)]
    for name, value in chance.choice(FAULTS).items():
        (record if name in record else record["content"])[name] = value
    return json.dumps(record)
