"""What people push: whole series, further points of one, and named points of many.

    {"name": "mast", "unit": "m/s", "points": [{"t": 1711644934, "v": 4.2}, …]}
    {"name": "mast", "start": "2024-03-28T16:55:34Z", "interval": 0.1, "values": [4.2, …]}
    [{"name": "mast", "t": 1711644934.5, "v": 4.2}, …]

A time is epoch seconds, whole or fractional, or ISO 8601 with an offset; a series may go without name and unit.
What has a caller is refused whole: every parser raises InvalidUpload with the first MAX_FAULTS faulty items.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from datacosmos.domain import series
from datacosmos.domain.series import Samples
from datacosmos.errors import InvalidUpload

MAX_FAULTS = 100
MAX_NAME, MAX_UNIT = 256, 64
MAX_SENTENCE = 200

# What the decoder's types are called in a fault.
KINDS = {
    "float": "a number",
    "float | str": "epoch seconds or ISO 8601 text",
    "str": "text",
    "str | null": "text",
    "float | null": "a number",
    "float | str | null": "epoch seconds or ISO 8601 text",
    "null": "null",
    "int": "a number",
    "bool": "a boolean",
    "array": "a list",
    "object": "an object",
}


class Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    t: float | str
    v: float


class NamedPoint(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    t: float | str
    v: float


class TimedPoint(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A point whose time is epoch seconds, as nearly all are: those decode at once."""

    t: float
    v: float


class TimedNamedPoint(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    t: float
    v: float


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """A series in either form; its lists are decoded by themselves, so that a fault has an index."""

    name: str | None = None
    unit: str | None = None
    points: msgspec.Raw = msgspec.Raw()
    start: float | str | None = None
    interval: float | None = None
    values: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True, slots=True, eq=False)
class NewSeries:
    name: str | None
    unit: str | None
    samples: Samples


BODY = msgspec.json.Decoder(Body)
RAW_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
VALUES = msgspec.json.Decoder(list[float])
POINTS = msgspec.json.Decoder(list[TimedPoint])
NAMED_POINTS = msgspec.json.Decoder(list[TimedNamedPoint])
T, V, NAME = attrgetter("t"), attrgetter("v"), attrgetter("name")
NOT_AS_EXPECTED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)


def parse_series(body: bytes) -> NewSeries:
    """A whole series; its samples are in order, and no time repeats."""
    fields = _fields(body)
    samples = _samples(fields)
    if len(again := series.repeats(samples.t)):
        raise InvalidUpload([(index, "t repeats that of an earlier point") for index in again[:MAX_FAULTS].tolist()])
    return NewSeries(fields.name, fields.unit, series.in_order(samples))


def parse_points(body: bytes) -> Samples:
    """Further points of one series as they come, where a time may repeat; name and unit have no place here."""
    fields = _fields(body)
    if fields.name is not None or fields.unit is not None:
        raise _refusal("name and unit belong to a new series: leave them out")
    return _samples(fields)


def parse_named(body: bytes) -> dict[str, Samples]:
    """Points by the name of their series, those of a name as they come."""
    try:
        items: Sequence[Any] = NAMED_POINTS.decode(body)
        samples = _columns(items)
    except NOT_AS_EXPECTED:
        items, samples = _one_by_one(body, NamedPoint)
    if not items:
        raise _refusal("the list is empty: send at least one point")
    names: list[str] = list(map(NAME, items))
    if any(_name_fault(name) for name in set(names)):
        raise InvalidUpload(
            [(index, fault) for index, name in enumerate(names) if (fault := _name_fault(name))][:MAX_FAULTS]
        )
    return _by_name(names, samples)


def _by_name(names: list[str], samples: Samples) -> dict[str, Samples]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    if len(numbers) == 1:
        return {names[0]: samples}
    kinds = np.fromiter(map(numbers.__getitem__, names), np.intp, len(names))
    order = np.argsort(kinds, kind="stable")
    edges = np.searchsorted(kinds[order], np.arange(len(numbers) + 1)).tolist()
    return {name: samples[order[edges[number] : edges[number + 1]]] for name, number in numbers.items()}


def _fields(body: bytes) -> Body:
    try:
        fields = BODY.decode(body)
    except NOT_AS_EXPECTED as error:
        raise _refusal(_sentence(error)) from None
    for name, text, most in (("name", fields.name, MAX_NAME), ("unit", fields.unit, MAX_UNIT)):
        if text is not None and (fault := _text_fault(name, text, most)):
            raise _refusal(fault)
    return fields


def _samples(fields: Body) -> Samples:
    even = (fields.start is not None, fields.interval is not None, bool(bytes(fields.values)))
    if bytes(fields.points) and not any(even):
        return _points(bytes(fields.points))
    if all(even) and not bytes(fields.points):
        return _evenly_sampled(fields)
    raise _refusal("send either points, or start, interval and values")


def _points(body: bytes) -> Samples:
    try:
        return _columns(POINTS.decode(body))
    except NOT_AS_EXPECTED:
        return _one_by_one(body, Point)[1]


def _evenly_sampled(fields: Body) -> Samples:
    """The values from start on. The interval is meant as it is written: 0.1 is a tenth of a second."""
    try:
        start = _microseconds(fields.start)
        interval = Fraction(Decimal(repr(fields.interval))) * series.SECOND
        if interval < 1:
            raise _refusal("interval must be a microsecond or more")
        return series.evenly_sampled(start, interval, _values(bytes(fields.values)))
    except (ValueError, OverflowError) as error:
        raise _refusal(f"start: {error}") from None


def _values(body: bytes) -> NDArray[np.float64]:
    try:
        return np.array(VALUES.decode(body), np.float64)
    except NOT_AS_EXPECTED:
        return np.array(_decoded(body, float, lambda value: value), np.float64)


def _columns(items: Sequence[Any]) -> Samples:
    """Items whose t is epoch seconds; raises OverflowError where one is out of bounds."""
    count = len(items)
    seconds = np.fromiter(map(T, items), np.float64, count)
    return Samples(series.from_seconds(seconds), np.fromiter(map(V, items), np.float64, count))


def _one_by_one(body: bytes, kind: type[Point | NamedPoint]) -> tuple[list[Any], Samples]:
    def timed(item: Any) -> Any:
        if fault := _name_fault(item.name) if isinstance(item, NamedPoint) else None:
            raise ValueError(fault)
        return item, _microseconds(item.t)

    pairs = _decoded(body, kind, timed)
    t = np.fromiter((t for _, t in pairs), np.int64, len(pairs))
    items = [item for item, _ in pairs]
    return items, Samples(t, np.fromiter(map(V, items), np.float64, len(items)))


def _decoded(body: bytes, kind: type, check: Callable[[Any], Any]) -> list[Any]:
    """What `check` makes of each item; slower than decoding all at once, but tells the faulty ones, by ValueError."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
    good: list[Any] = []
    faults: list[tuple[int | None, str]] = []
    try:
        body.decode()
        items = RAW_ITEMS.decode(body)
    except NOT_AS_EXPECTED as error:
        raise _refusal(_sentence(error)) from None
    for index, item in enumerate(items):
        try:
            good.append(check(decoder.decode(item)))
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors too
            faults.append((index, _sentence(error)))
            if len(faults) == MAX_FAULTS:
                break
    if faults:
        raise InvalidUpload(faults)
    return good


def _microseconds(time: float | str | None) -> int:
    """Raises ValueError, a sentence, where it is no time that a datetime could hold."""
    if isinstance(time, str):
        try:
            moment = datetime.fromisoformat(time)
        except ValueError:
            raise ValueError("t must be epoch seconds or ISO 8601, like 2024-03-28T16:55:34Z") from None
        if moment.tzinfo is None:
            raise ValueError("t must have an offset, like Z or +01:00")
        microseconds = series.from_datetime(moment)
    else:
        microseconds = round((time or 0) * series.SECOND)
    if not series.EARLIEST <= microseconds <= series.LATEST:
        raise ValueError("t must lie in the years 1 to 9999")
    return microseconds


def _name_fault(name: str) -> str | None:
    return _text_fault("name", name, MAX_NAME)


def _text_fault(field: str, text: str, most: int) -> str | None:
    if not text:
        return f"{field} must not be empty"
    if len(text) > most:
        return f"{field} must have {most} characters or fewer"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return f"{field} must hold no control character"
    return None


def _refusal(fault: str) -> InvalidUpload:
    return InvalidUpload([(None, fault)])


def _sentence(error: Exception) -> str:
    """What a decoder said, in the words of who sent the body."""
    if isinstance(error, UnicodeDecodeError):
        return "the body is not UTF-8"
    if isinstance(error, RecursionError):
        return "the body is nested too deep"
    said, _, path = str(error).partition(" - at `$")
    said = re.sub(r"`([^`]*)`", lambda match: KINDS.get(match[1], match[0]), said)[:MAX_SENTENCE]
    return f"{field}: {said}" if (field := path.strip(".`")) else said
