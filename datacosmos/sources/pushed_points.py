"""Points as people push them: what an item of a list is, decoded many at once or one by one, and judged."""

import re
from collections.abc import Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, overload

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from datacosmos.domain import series
from datacosmos.domain.instants import parse_time, parse_times
from datacosmos.errors import TooManyNames
from datacosmos.sources.json.lists import STRING, Arrays, Items

MAX_NAME = 256
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
T, V, NAME = itemgetter("t"), itemgetter("v"), itemgetter("name")
NUMBERS = {int, float}
# From outside of strings until behind the next comma between two objects.
BETWEEN_OBJECTS = re.compile(
    rb'(?:[^"}]++|' + STRING.pattern + rb"|\}(?![ \t\r\n]*+,))*+\}[ \t\r\n]*+,",
    re.DOTALL,
)


class PushedPoint(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    t: float | str
    v: float


class NamedPoint(PushedPoint, forbid_unknown_fields=True, gc=False, kw_only=True):
    name: str


class Timed(msgspec.Struct, gc=False):
    """A point's time with all of its digits, which a float of a far year would not hold."""

    t: msgspec.Raw


TIMED, ALL_TIMED = msgspec.json.Decoder(Timed), msgspec.json.Decoder(list[Timed])
POINT, NAMED_POINT = msgspec.json.Decoder(PushedPoint), msgspec.json.Decoder(NamedPoint)
VALUE = msgspec.json.Decoder(float)


# Many are read by orjson, whose numbers take the same time however they are spelled: msgspec's take a hundred times as
# long for some. What it can't take is given to msgspec one by one, as that says what is wrong.


def read_times(times: list[Any], text: bytes) -> NDArray[np.int64]:
    """Microseconds since the epoch; `text` is what the times were decoded from. Raises one of NOT_AS_EXPECTED."""
    kinds = set(map(type, times))
    if kinds == {str}:
        return np.array(parse_times(times), np.int64)
    if kinds <= NUMBERS and not is_far(seconds := np.fromiter(times, np.float64, len(times))).any():
        return series.from_seconds(seconds)
    is_text = np.fromiter((isinstance(time, str) for time in times), np.bool_, len(times))
    seconds = read_numbers([time for time in times if not isinstance(time, str)])
    read = np.empty(len(times), np.int64)
    read[~is_text] = series.from_seconds(seconds)
    where: list[int] = np.flatnonzero(~is_text)[is_far(seconds)].tolist()
    if where:
        digits: list[str] = [bytes(timed.t).decode() for timed in ALL_TIMED.decode(text)]
        read[where] = [round(Decimal(digits[index]) * series.SECOND) for index in where]
        if not series.EARLIEST <= read[where].min() <= read[where].max() <= series.LATEST:
            raise OverflowError("a time is beyond the years 1 to 9999")
    if is_text.any():
        read[is_text] = parse_times([time for time in times if isinstance(time, str)])
    return read


def read_numbers(numbers: list[Any]) -> NDArray[np.float64]:
    if not set(map(type, numbers)) <= NUMBERS:
        raise TypeError("a value is no number")
    return np.fromiter(numbers, np.float64, len(numbers))


def require_once(text: bytes, members: int, *fields: Sequence[Any]) -> None:
    """Of flat objects with each member at least once: a colon in none of their `fields` is a member's."""
    colons = text.count(b":")
    if b"\\" in text:
        text = text.replace(rb"\\", b"")
        colons += text.count(rb"\u003a") + text.count(rb"\u003A")
    elif colons == members:
        return
    if colons - sum(map(_colons, fields)) != members:
        raise ValueError("a member is given more than once")


def _colons(field: Sequence[Any]) -> int:
    if str not in set(map(type, field)):
        return 0
    return "".join([value for value in field if isinstance(value, str)]).count(":")


def _points(text: bytes) -> Arrays:
    points = orjson.loads(text)
    t, v = list(map(T, points)), list(map(V, points))
    columns = [read_times(t, text), read_numbers(v)]
    require_once(text, 2 * len(points), t)
    return columns


def _point(text: bytes) -> tuple[int, float]:
    point = POINT.decode(text)
    require_once(text, 2, [point.t])
    return read_time(point.t, text), point.v


POINT_ITEMS = Items(BETWEEN_OBJECTS, (np.int64, np.float64), _points, _point)
VALUE_ITEMS = Items(
    border=re.compile(rb"[^,]*+,"),
    columns=(np.float64,),
    at_once=lambda text: [read_numbers(orjson.loads(text))],
    one=lambda text: (VALUE.decode(text),),
)


class NamedItems:
    """Points of many series, whose names are numbered as they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.items = Items(BETWEEN_OBJECTS, (np.intp, np.int64, np.float64), self._many, self._one)

    def _many(self, text: bytes) -> Arrays:
        points = orjson.loads(text)
        names, t, v = list(map(NAME, points)), list(map(T, points)), list(map(V, points))
        columns = [read_times(t, text), read_numbers(v)]
        require_once(text, 3 * len(points), names, t)
        for name in dict.fromkeys(names):
            self._number(name)
        return [np.fromiter(map(self.numbers.__getitem__, names), np.intp, len(names)), *columns]

    def _one(self, text: bytes) -> tuple[int, int, float]:
        point = NAMED_POINT.decode(text)
        require_once(text, 3, [point.name, point.t])
        return self._number(point.name), read_time(point.t, text), point.v

    def _number(self, name: str) -> int:
        if name not in self.numbers:
            require_text("name", name, MAX_NAME)
            if len(self.numbers) == series.MAX_NAMES:
                raise TooManyNames(f"a request may name {series.MAX_NAMES} series, but this one names more: split it")
            self.numbers[name] = len(self.numbers)
        return self.numbers[name]


def read_time(time: float | str, text: bytes) -> int:
    """Of one point. Raises ValueError, a sentence."""
    far = isinstance(time, float) and is_far(time)
    return exact_microseconds("t", TIMED.decode(text).t) if far else to_microseconds("t", time)


@overload
def is_far(seconds: float) -> bool: ...
@overload
def is_far(seconds: NDArray[np.float64]) -> NDArray[np.bool_]: ...
def is_far(seconds: float | NDArray[np.float64]) -> bool | NDArray[np.bool_]:
    """Whether a float of so many seconds may have lost the microsecond."""
    return abs(seconds) > series.EXACT / series.SECOND


def exact_microseconds(field: str, digits: msgspec.Raw) -> int:
    """Of a number as JSON has it. Raises ValueError, a sentence."""
    try:
        return series.parse_seconds(bytes(digits).decode())
    except OverflowError:
        raise ValueError(f"{field} must lie in the years 1 to 9999") from None


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
    if CONTROL.search(text):
        raise ValueError(f"{field} must hold no control character")
