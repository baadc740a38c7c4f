"""Points as people push them: what an item of a list is, decoded many at once or one by one, and judged."""

import re
import unicodedata
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from datacosmos.domain import series
from datacosmos.domain.instants import parse_time
from datacosmos.errors import TooManyNames
from datacosmos.sources.json_lists import NOT_AS_EXPECTED, STRING, Columns, Items

MAX_NAME = 256
Decoder = msgspec.json.Decoder[list[Any]]


class Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    t: float | str
    v: float


class TimedPoint(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A point whose time is epoch seconds, as nearly all are: those decode at once."""

    t: float
    v: float


class DatedPoint(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A point whose time is text like ISO_T: those decode fast, too."""

    t: datetime
    v: float


class NamedPoint(Point, forbid_unknown_fields=True, gc=False, kw_only=True):
    name: str


class TimedNamedPoint(TimedPoint, forbid_unknown_fields=True, gc=False, kw_only=True):
    name: str


class DatedNamedPoint(DatedPoint, forbid_unknown_fields=True, gc=False, kw_only=True):
    name: str


T, V, NAME = attrgetter("t"), attrgetter("v"), attrgetter("name")
BETWEEN_OBJECTS = re.compile(rb"\}[ \t\r\n]*+,")
# A member that the decoder's own reading of a time takes for the same as `parse_time` does.
ISO_T = re.compile(
    rb'"t"[ \t\r\n]*+:[ \t\r\n]*+"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?'
    rb'(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"'
)

EXACT = 1 << 31  # seconds up to which a float surely holds the microseconds
MEMBER = re.compile(rb'"[ \t\r\n]*+:')


class PointDecoder:
    """Decodes points to the columns t, int64 microseconds since the epoch, and v, float64."""

    def __init__(self, point: type[Point], timed: type[TimedPoint], dated: type[DatedPoint]) -> None:
        self._members = len(msgspec.structs.fields(point))
        self._point: msgspec.json.Decoder[Any] = msgspec.json.Decoder(point)
        self._points: Decoder = msgspec.json.Decoder(list[point])
        self._timed: Decoder = msgspec.json.Decoder(list[timed])
        self._dated: Decoder = msgspec.json.Decoder(list[dated])

    def many(self, text: bytes) -> tuple[list[Any], Columns]:
        """Of a list, its items and the columns."""
        try:
            points = self._timed.decode(text)
            t = series.from_seconds(np.fromiter(map(T, points), np.float64, len(points)))
        except NOT_AS_EXPECTED:
            points, t = self._with_texts(text)
        require_once(text, len(points) * self._members)
        return points, [t, np.fromiter(map(V, points), np.float64, len(points))]

    def one(self, text: bytes) -> Any:
        point = self._point.decode(text)
        require_once(text, self._members)
        return point

    def _with_texts(self, text: bytes) -> tuple[list[Any], NDArray[np.int64]]:
        if dated := len(ISO_T.findall(text)):
            with suppress(*NOT_AS_EXPECTED):
                points = self._dated.decode(text)
                seconds = np.array([point.t.timestamp() for point in points])
                if len(points) == dated and np.abs(seconds).max() < EXACT:
                    return points, series.from_seconds(seconds)
        points = self._points.decode(text)
        return points, np.array([to_microseconds("t", point.t) for point in points], np.int64)


NAMELESS = PointDecoder(Point, TimedPoint, DatedPoint)
NAMED = PointDecoder(NamedPoint, TimedNamedPoint, DatedNamedPoint)
VALUE, VALUES = msgspec.json.Decoder(float), msgspec.json.Decoder(list[float])


def _point(text: bytes) -> tuple[int, float]:
    point = NAMELESS.one(text)
    return to_microseconds("t", point.t), point.v


POINT_ITEMS = Items(BETWEEN_OBJECTS, (np.int64, np.float64), lambda text: NAMELESS.many(text)[1], _point)
VALUE_ITEMS = Items(
    border=re.compile(rb","),
    columns=(np.float64,),
    at_once=lambda text: [np.array(VALUES.decode(text), np.float64)],
    one=lambda text: (VALUE.decode(text),),
)


class NamedItems:
    """Points of many series, whose names are numbered as they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.items = Items(BETWEEN_OBJECTS, (np.intp, np.int64, np.float64), self._many, self._one)

    def _many(self, text: bytes) -> Columns:
        points, columns = NAMED.many(text)
        names: list[str] = list(map(NAME, points))
        for name in dict.fromkeys(names):
            self._number(name)
        return [np.fromiter(map(self.numbers.__getitem__, names), np.intp, len(names)), *columns]

    def _one(self, text: bytes) -> tuple[int, int, float]:
        point = NAMED.one(text)
        return self._number(point.name), to_microseconds("t", point.t), point.v

    def _number(self, name: str) -> int:
        if name not in self.numbers:
            require_text("name", name, MAX_NAME)
            if len(self.numbers) == series.MAX_NAMES:
                raise TooManyNames(f"a request may name {series.MAX_NAMES} series, but this one names more: split it")
            self.numbers[name] = len(self.numbers)
        return self.numbers[name]


def to_microseconds(field: str, time: float | str) -> int:
    """Raises ValueError, a sentence, where it is no time that a datetime could hold."""
    if isinstance(time, str):
        try:
            return series.from_datetime(parse_time(time))
        except ValueError as error:
            raise ValueError(f"{field}: {error}") from None
    # Clipped, still out of bounds, as infinity can't be rounded.
    microseconds = round(min(max(time, -1e12), 1e12) * series.SECOND)
    if not series.EARLIEST <= microseconds <= series.LATEST:
        raise ValueError(f"{field} must lie in the years 1 to 9999")
    return microseconds


def require_text(field: str, text: str, most: int) -> None:
    """Raises ValueError, a sentence."""
    if not text:
        raise ValueError(f"{field} must not be empty")
    if len(text) > most:
        raise ValueError(f"{field} must have {most} characters or fewer")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError(f"{field} must hold no control character")


def require_once(text: bytes, members: int) -> None:
    """Of flat objects with each member at least once: what looks like one more is one again, or part of a text."""
    if text.count(b":") == members or len(MEMBER.findall(text)) == members:
        return
    if STRING.sub(b"", text).count(b":") != members:
        raise ValueError("a member is given more than once")
