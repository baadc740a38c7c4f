"""Sensors: one JSON object a reading, streamed to us as lines, or pushed in batches.

    {"id": "a1", "type": "Sensor", "content": {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"}}

`time_of_measurement` is a time as `domain.instants` reads it; without an offset it is UTC. The temperature is stored in
degrees Celsius, and as it was sent. A reading is told from others by its id and the instant it was measured at, at full
precision: the same instant in another offset or with more zeros is the same reading.
"""

import math
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from datacosmos.domain import rules as domain_rules
from datacosmos.domain.instants import parse_as_sent
from datacosmos.domain.rules import Rule
from datacosmos.settings import Settings
from datacosmos.sources.json.objects import Odd, encodable, kind, read_object
from datacosmos.sources.source import Parsed, Pushed, Records, Source

SOURCE = "sensors"
FIELDS = frozenset({"id", "type", "content"})
MAX_RECORD = 64 * 1024
MAX_ID = 256
ABSOLUTE_ZERO_F = -459.67
FRACTION = re.compile(r"[.,]([0-9]+)")
KEYS = uuid.UUID("6f0b5b0c-6c0e-4d2b-9a55-0d0b2b1f8c11")

EXAMPLE = {
    "id": "a1",
    "type": "Sensor",
    "content": {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"},
}
# Wide, as what doesn't fit is taken too, and discarded as malformed.
RECORD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Which sensor."},
        "type": {"type": "string", "description": "`Sensor`."},
        "content": {
            "type": "object",
            "properties": {
                "temperature_f": {"type": "number", "description": "Degrees Fahrenheit."},
                "time_of_measurement": {"type": "string", "description": "ISO 8601; without an offset it is in UTC."},
            },
        },
    },
}


def series_of(sensor_id: str) -> str:
    return f"sensors/{sensor_id}"


def rules(max_age: timedelta | None) -> tuple[Rule, ...]:
    """The rules that judge a sensor's reading; without a `max_age` none is too old."""
    aged = () if max_age is None else (domain_rules.too_old(max_age),)
    return (domain_rules.malformed(), *aged)


def configured(settings: Settings) -> Iterator[Source]:
    yield source(settings)


def source(settings: Settings) -> Source:
    return Source(
        name=SOURCE,
        about="streamed to us as lines or an array, or pushed in batches: a JSON object each; sent again, `duplicate`s",
        parse=parse,
        rules=rules(settings.sensors_max_age),
        payload="record",
        max_bytes=MAX_RECORD,
        pushed=Pushed(
            path="/sensors",
            record_name="SensorRecord",
            record=RECORD,
            example=EXAMPLE,
            keys=KEYS,
            max_bytes=settings.sensors_max_bytes,
            max_readings=settings.sensors_max_readings,
        ),
        records=Records(is_record=is_record, described="a sensor's record, an object with id, type and content"),
    )


def parse(record: bytes) -> Parsed:
    """What a record says. Raises ValueError where it is no JSON object."""
    fields = read_object(record)
    faults: list[str] = []
    sensor_id = _sensor_id(fields.get("id", Odd.MISSING), faults)
    _check_type(fields.get("type", Odd.MISSING), faults)
    fahrenheit, time, identity = _content(fields.get("content", Odd.MISSING), faults)
    return Parsed(
        series=sensor_id and series_of(sensor_id),
        time=time,
        value=None if fahrenheit is None else celsius(fahrenheit),
        sent_value=fahrenheit,
        identity=identity,
        faults=tuple(faults),
    )


def is_record(text: bytes) -> bool:
    """Whether it was meant as one, however faulty: an object with the fields that each has."""
    try:
        return read_object(text[:MAX_RECORD]).keys() >= FIELDS
    except ValueError:
        return False


def celsius(fahrenheit: float) -> float:
    """Finite for whatever is finite."""
    degrees = (fahrenheit - 32) * 5 / 9
    return degrees if math.isfinite(degrees) else (fahrenheit - 32) / 9 * 5


def _sensor_id(sensor_id: object, faults: list[str]) -> str | None:
    if not isinstance(sensor_id, str):
        faults.append(f"id must be text, but is {kind(sensor_id)}")
    elif not 0 < len(sensor_id) <= MAX_ID or not encodable(sensor_id) or "\0" in sensor_id:
        faults.append(f"id must be 1 to {MAX_ID} characters that UTF-8 can encode, and none of them NUL")
    else:
        return sensor_id
    return None


def _check_type(name: object, faults: list[str]) -> None:
    if name != "Sensor":
        faults.append('type must be "Sensor"')


def _content(content: object, faults: list[str]) -> tuple[float | None, datetime | None, str | None]:
    if not isinstance(content, dict):
        faults.append(f"content must be an object, but is {kind(content)}")
        return None, None, None
    fields = cast("dict[str, object]", content)
    fahrenheit = _temperature(fields.get("temperature_f", Odd.MISSING), faults)
    return fahrenheit, *_time(fields.get("time_of_measurement", Odd.MISSING), faults)


def _temperature(fahrenheit: object, faults: list[str]) -> float | None:
    if type(fahrenheit) not in (int, float):
        faults.append(f"temperature_f must be a number, but is {kind(fahrenheit)}")
        return None
    degrees = float(cast("float", fahrenheit))
    if not math.isfinite(degrees):
        faults.append("temperature_f must be finite")
    elif degrees < ABSOLUTE_ZERO_F:
        faults.append(f"temperature_f must not lie below absolute zero, {ABSOLUTE_ZERO_F}")
    else:
        return degrees
    return None


def _time(text: object, faults: list[str]) -> tuple[datetime | None, str | None]:
    """The instant, and what tells it from all others: the fraction counts beyond what a datetime holds."""
    try:
        moment = parse_as_sent(text) if isinstance(text, str) else None
        at = moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        faults.append("time_of_measurement must be a time that there is, in the years 1 to 9999")
        return None, None
    if at is None or not isinstance(text, str):
        what = "is no such text" if isinstance(text, str) else f"is {kind(text)}"
        faults.append(f"time_of_measurement must be like 2019-06-24T15:00:00, with an offset or in UTC, but {what}")
        return None, None
    fraction = FRACTION.search(text)
    return at, f"{at.isoformat()[:19]}.{fraction[1].rstrip('0') if fraction else ''}"
