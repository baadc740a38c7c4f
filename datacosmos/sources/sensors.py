"""Sensors: one JSON object a reading, streamed to us as lines, or pushed in batches.

    {"id": "a1", "type": "Sensor", "content": {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"}}

`time_of_measurement` is ISO 8601; without an offset it is UTC. The temperature is stored in degrees Celsius, and as it
was sent. A reading is told from others by its id and the instant it was measured at, at full precision: the same
instant in another offset or with more zeros is the same reading.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from datacosmos.domain import rules as domain_rules
from datacosmos.domain.points import Delivery, Point, Reading
from datacosmos.domain.rules import Rule
from datacosmos.sources.strict_json import Odd, encodable, kind, read_object

SOURCE = "sensors"
MAX_RECORD = 64 * 1024
MAX_ID = 256
ABSOLUTE_ZERO_F = -459.67
TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,30}))?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)


def series_of(sensor_id: str) -> str:
    return f"sensors/{sensor_id}"


def rules(max_age: timedelta | None) -> tuple[Rule, ...]:
    """The rules that judge a sensor's reading; without a `max_age` none is too old."""
    aged = () if max_age is None else (domain_rules.too_old(max_age),)
    return (domain_rules.malformed(), *aged)


def receive(
    records: Sequence[bytes],
    *,
    delivery_id: str,
    received_at: datetime,
    judges: Sequence[Rule],
    sender: str | None = None,
) -> Delivery:
    """What came at once, each record a judged point."""
    readings = [parse(record) for record in records]
    points = tuple(
        Point(
            id=f"{delivery_id}/{n:05}",
            reading=reading,
            verdict=domain_rules.judge(reading, received_at, judges),
            received_at=received_at,
        )
        for n, reading in enumerate(readings)
    )
    return Delivery(id=delivery_id, source=SOURCE, received_at=received_at, points=points, sender=sender)


def parse(record: bytes) -> Reading:
    """The reading in a record, whatever its bytes: what can't be told is left out, and named in the faults.

    `raw` is cut at MAX_RECORD, and nothing behind the cut is looked at.
    """
    raw = record[:MAX_RECORD]
    if len(record) > MAX_RECORD:
        return Reading(source=SOURCE, faults=(f"the record is longer than {MAX_RECORD} bytes",), raw=raw)
    try:
        fields = read_object(raw)
    except ValueError as error:
        return Reading(source=SOURCE, faults=(str(error),), raw=raw)
    faults: list[str] = []
    sensor_id = _sensor_id(fields.get("id", Odd.MISSING), faults)
    _check_type(fields.get("type", Odd.MISSING), faults)
    fahrenheit, time, identity = _content(fields.get("content", Odd.MISSING), faults)
    return Reading(
        source=SOURCE,
        series=sensor_id and series_of(sensor_id),
        time=time,
        value=None if fahrenheit is None else celsius(fahrenheit),
        sent_value=fahrenheit,
        identity=identity,
        faults=tuple(faults),
        raw=raw,
    )


def celsius(fahrenheit: float) -> float:
    return (fahrenheit - 32) * 5 / 9


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
    match = TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        what = "is no such text" if isinstance(text, str) else f"is {kind(text)}"
        faults.append(f"time_of_measurement must be like 2019-06-24T15:00:00, with an offset or in UTC, but {what}")
        return None, None
    spelled, fraction, offset = match.groups()
    try:
        whole = datetime.fromisoformat(spelled + (offset or "Z").upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        faults.append("time_of_measurement must be a time that there is, in the years 1 to 9999")
        return None, None
    digits = (fraction or "").rstrip("0")
    return whole.replace(microsecond=int(digits[:6].ljust(6, "0"))), f"{whole.isoformat()[:19]}.{digits}"
