"""Phones: one JSON object a location, pushed to us.

    {"timestamp": "2017-01-01 13:05:12", "lat": 40.701, "long": -73.916,
     "accuracy": 11.3000021, "speed": 1.3999992, "user_id": "a1"}

All six fields are required, and fields of other names are ignored. `lat` and `long` are degrees, `accuracy` metres,
`speed` metres a second or -1 for unknown. `timestamp` is a time as `domain.instants` reads it: local at that place, or
with an offset, which is honoured.

Duplicates are told by user and timestamp as sent: the time it spells to the microsecond, and its offset where it has
one. A T for a space, .000 for no fraction and +00:00 for Z spell the same; local time and the same time with an
offset do not.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, cast
from zoneinfo import ZoneInfo

import timezonefinder

from datacosmos.domain.instants import parse_as_sent
from datacosmos.domain.minutes import Location, to_utc
from datacosmos.errors import InvalidLocation
from datacosmos.sources.json.objects import Odd, decode_object, encodable

MAX_USER_ID = 256
# The largest float: what lies beyond is infinite.
MAX = sys.float_info.max


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
    """The fields of a JSON object; one that is NaN or infinite is a fault of the body, too."""
    try:
        fields, constant = decode_object(body)
    except ValueError as error:
        raise InvalidLocation({"body": str(error)}) from None
    if constant is not None:
        faults["body"] = f"must be JSON, but holds {constant}"
    return fields


def _check(name: str, check: Callable[[object], object], fields: dict[str, object]) -> object:
    if name not in fields:
        raise ValueError("is missing")
    if fields[name] is Odd.REPEATED:
        raise ValueError("must be given only once")
    return check(fields[name])


def _timestamp(value: object) -> datetime:
    try:
        sent = parse_as_sent(value) if isinstance(value, str) else None
    except ValueError:
        raise ValueError("must be a date that exists") from None
    if sent is not None:
        return sent
    raise ValueError(
        "must be text like 2017-01-01 13:05:12, with a fraction down to microseconds and an offset such as +01:00 or Z "
        "where wanted"
    )


def _number(low: float, high: float, asked: str) -> Callable[[object], float]:
    def check(value: object) -> float:
        if type(value) in (int, float) and low <= (number := float(cast("float", value))) <= high:
            return number
        raise ValueError(f"must be {asked}")

    return check


_known_speed = _number(0, MAX, "a finite number of 0 or more, or -1 for unknown")


def _speed(value: object) -> float | None:
    return None if value == -1 else _known_speed(value)


def _user_id(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_USER_ID and encodable(value):
        return value
    raise ValueError(f"must be text of 1 to {MAX_USER_ID} characters that UTF-8 can encode")


CHECKS: dict[str, Callable[[object], object]] = {
    "timestamp": _timestamp,
    "lat": _number(-90, 90, "a number from -90 to 90"),
    "long": _number(-180, 180, "a number from -180 to 180"),
    "accuracy": _number(0, MAX, "a finite number of 0 or more"),
    "speed": _speed,
    "user_id": _user_id,
}
