"""What people push: whole series, further points of one, and named points of many.

    {"name": "mast", "unit": "m/s", "points": [{"t": 1711644934, "v": 4.2}, …]}
    {"name": "mast", "start": "2024-03-28T16:55:34Z", "interval": 0.1, "values": [4.2, …]}
    [{"name": "mast", "t": 1711644934.5, "v": 4.2}, …]

A time is epoch seconds, whole or fractional, or ISO 8601 with an offset, rounded to the microsecond; a series may go
without name and unit. No member may be given twice. What has a caller is refused whole: every parser raises
InvalidUpload with the first MAX_FAULTS faulty items.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import msgspec
import numpy as np
from numpy.typing import NDArray

from datacosmos.domain import series
from datacosmos.domain.series import EARLIEST, LATEST, SECOND, Samples
from datacosmos.errors import InvalidUpload
from datacosmos.sources.digests import digest
from datacosmos.sources.json.lists import MAX_FAULTS, NOT_AS_EXPECTED, read_list, refusal
from datacosmos.sources.json.members import read_members
from datacosmos.sources.json.sentences import sentence
from datacosmos.sources.pushed_points import (
    MAX_NAME,
    POINT_ITEMS,
    VALUE_ITEMS,
    NamedItems,
    exact_microseconds,
    is_far,
    require_text,
    to_microseconds,
)

MAX_UNIT = 64
MOST_INTERVAL = (LATEST - EARLIEST) // SECOND


class Fields(msgspec.Struct, forbid_unknown_fields=True):
    """A series without its lists; what else stands in place of one is refused."""

    name: str | None = None
    unit: str | None = None
    start: float | str | None = None
    interval: float | None = None
    points: list[None] = []
    values: list[None] = []


@dataclass(frozen=True, slots=True, eq=False)
class NewSeries:
    name: str | None
    unit: str | None
    samples: Samples


class Begun(msgspec.Struct):
    """The start with all of its digits."""

    start: msgspec.Raw


FIELDS, BEGUN = msgspec.json.Decoder(Fields), msgspec.json.Decoder(Begun)


def parse_series(body: bytes) -> NewSeries:
    """A whole series; its samples are in order, and no time repeats."""
    fields, samples = _read(body)
    if len(again := series.repeats(samples.t)):
        raise InvalidUpload([(index, "t repeats that of an earlier point") for index in again[:MAX_FAULTS].tolist()])
    return NewSeries(fields.name, fields.unit, series.in_order(samples))


def parse_repeatable(body: bytes) -> tuple[NewSeries, bytes]:
    """The same with the body's digest, by which it is known when it comes again."""
    return parse_series(body), digest(body)


def parse_points(body: bytes) -> Samples:
    """Further points of one series as they come, where a time may repeat; name and unit have no place here."""
    fields, samples = _read(body)
    if fields.name is not None or fields.unit is not None:
        raise refusal("name and unit belong to a new series: leave them out")
    return samples


def parse_named(body: bytes) -> dict[str, Samples]:
    """Points by the name of their series, those of a name as they come."""
    named = NamedItems()
    numbers, t, v = read_list(body, named.items)
    if not len(numbers):
        raise refusal("the list is empty: send at least one point")
    samples = Samples(t, v)
    if len(named.numbers) == 1:
        return dict.fromkeys(named.numbers, samples)
    order = np.argsort(numbers, kind="stable")
    edges = np.searchsorted(numbers[order], np.arange(len(named.numbers) + 1)).tolist()
    return {name: samples[order[edges[number] : edges[number + 1]]] for name, number in named.numbers.items()}


def _read(body: bytes) -> tuple[Fields, Samples]:
    lists, others = read_members(body, {"points": POINT_ITEMS, "values": VALUE_ITEMS})
    try:
        fields = FIELDS.decode(others)
        for name, text, most in (("name", fields.name, MAX_NAME), ("unit", fields.unit, MAX_UNIT)):
            if text is not None:
                require_text(name, text, most)
    except NOT_AS_EXPECTED as error:
        raise refusal(sentence(error)) from None
    even = (fields.start is not None, fields.interval is not None, "values" in lists)
    if "points" in lists and not any(even):
        return fields, Samples(*lists["points"])
    if fields.start is None or fields.interval is None or "values" not in lists or "points" in lists:
        raise refusal("send either points, or start, interval and values")
    return fields, _evenly_sampled(fields.start, fields.interval, lists["values"][0], others)


def _evenly_sampled(start: float | str, interval: float, values: NDArray[np.float64], others: bytes) -> Samples:
    """The values from start on. The interval is meant as it is written: 0.1 is a tenth of a second."""
    microseconds = Fraction(Decimal(repr(interval))) * SECOND
    if not 1 <= microseconds <= MOST_INTERVAL * SECOND:
        raise refusal(f"interval must be at least a microsecond and at most {MOST_INTERVAL} seconds")
    try:
        far = isinstance(start, float) and is_far(start)
        first = exact_microseconds("start", BEGUN.decode(others).start) if far else to_microseconds("start", start)
        return series.evenly_sampled(first, microseconds, values)
    except OverflowError:
        raise refusal("start and interval: the last of the values would lie beyond the year 9999") from None
    except ValueError as error:
        raise refusal(str(error)) from None
