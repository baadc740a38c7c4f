"""Phones: one JSON object a location, pushed to us.

    {"timestamp": "2017-01-01 13:05:12", "lat": 40.701, "long": -73.916,
     "accuracy": 11.3000021, "speed": 1.3999992, "user_id": "a1"}

All six fields are required, and fields of other names are ignored. `lat` and `long` are degrees, `accuracy` metres,
`speed` metres a second or -1 for unknown. `timestamp` is local time at that place, or has an offset, which is honoured:

    YYYY-MM-DD, a space or T, HH:MM:SS, a fraction of 1 to 6 digits or none, Z or ±HH:MM or nothing

Duplicates are told by user and timestamp as sent: the time it spells to the microsecond, and its offset where it has
one. A T for a space, .000 for no fraction and +00:00 for Z spell the same; local time and the same time with an
offset do not.
"""

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, cast
from zoneinfo import ZoneInfo

import timezonefinder

from datacosmos.domain.minutes import Location, to_utc
from datacosmos.errors import InvalidLocation

MAX_USER_ID = 256
TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?", re.ASCII
)
# The largest float: what lies beyond is infinite.
MAX = sys.float_info.max
# What stands for a field that is given twice: parsers differ in which one wins, so what was meant can't be told.
REPEATED = object()


def parse(body: bytes) -> Location:
    """The location in a body. Raises InvalidLocation, which names every faulty field."""
    faults: dict[str, str] = {}
    fields = _fields(body, faults)
    checked: dict[str, Any] = {}
    for name, check in CHECKS.items():
        try:
            checked[name] = _check(name, check, fields)
        except ValueError as fault:
            faults[name] = str(fault)
    if faults:
        raise InvalidLocation(faults)
    sent = checked.pop("timestamp")
    return Location(sent=sent, time=_utc(sent, checked["lat"], checked["long"]), **checked)


def load_zones() -> None:
    """Read the map of time zones, 0.4 s, so that no request has to wait for it."""
    zone_at(0.0, 0.0)


def zone_at(lat: float, long: float) -> ZoneInfo:
    """The time zone at a place; at sea the nautical one, such as Etc/GMT+3, which is three hours behind UTC."""
    # None is for maps that leave out the sea; ours covers the globe.
    return zone_named(cast("str", timezonefinder.timezone_at(lat=lat, lng=long)))


@cache
def zone_named(name: str) -> ZoneInfo:
    """A zone with the rules of the locked tzdata package, not the machine's: a time is the same everywhere."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def _utc(sent: datetime, lat: float, long: float) -> datetime:
    try:
        return to_utc(sent, zone_at(lat, long)) if sent.tzinfo is None else sent.astimezone(UTC)
    except OverflowError:
        raise InvalidLocation({"timestamp": "must lie in the years 1 to 9999 in UTC"}) from None


def _fields(body: bytes, faults: dict[str, str]) -> dict[str, object]:
    """The fields of a JSON object; those that are NaN or infinite are None, and noted as a fault of the body."""
    constants: list[str] = []
    try:
        # Whole numbers as floats: Python refuses to read an integer of thousands of digits.
        fields = json.loads(body.decode(), object_pairs_hook=_object, parse_int=float, parse_constant=constants.append)
    except UnicodeDecodeError as error:
        raise InvalidLocation({"body": f"must be UTF-8, but byte {error.start} is not"}) from None
    except json.JSONDecodeError as error:
        raise InvalidLocation({"body": f"must be JSON, but is none from character {error.pos + 1} on"}) from None
    except RecursionError:
        raise InvalidLocation({"body": "must be a flat JSON object, but is nested too deep"}) from None
    if not isinstance(fields, dict):
        raise InvalidLocation({"body": "must be a JSON object"})
    if constants:
        faults["body"] = f"must be JSON, but holds {constants[0]}"
    return cast("dict[str, object]", fields)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        fields[name] = REPEATED if name in fields else value
    return fields


def _check(name: str, check: Callable[[object], object], fields: dict[str, object]) -> object:
    if name not in fields:
        raise ValueError("is missing")
    if fields[name] is REPEATED:
        raise ValueError("must be given only once")
    return check(fields[name])


def _timestamp(value: object) -> datetime:
    try:
        if isinstance(value, str) and TIMESTAMP.fullmatch(value):
            return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a date that exists") from None
    raise ValueError(
        "must be text like 2017-01-01 13:05:12, with a fraction down to microseconds and an offset such as +01:00 or Z "
        "where wanted"
    )


def _number(low: float, high: float, asked: str) -> Callable[[object], float]:
    def check(value: object) -> float:
        if isinstance(value, float) and low <= value <= high:
            return value
        raise ValueError(f"must be {asked}")

    return check


_known_speed = _number(0, MAX, "a finite number of 0 or more, or -1 for unknown")


def _speed(value: object) -> float | None:
    return None if value == -1 else _known_speed(value)


def _user_id(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_USER_ID and _encodable(value):
        return value
    raise ValueError(f"must be text of 1 to {MAX_USER_ID} characters that UTF-8 can encode")


def _encodable(text: str) -> bool:
    """Whether it is free of lone surrogates, which JSON can spell, but neither UTF-8 nor the store can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


CHECKS: dict[str, Callable[[object], object]] = {
    "timestamp": _timestamp,
    "lat": _number(-90, 90, "a number from -90 to 90"),
    "long": _number(-180, 180, "a number from -180 to 180"),
    "accuracy": _number(0, MAX, "a finite number of 0 or more"),
    "speed": _speed,
    "user_id": _user_id,
}
