"""How long a bucket is, as people write it, and where buckets of that length begin in a time zone.

Hours and less are counted from midnight of the day that they begin in; days, weeks, months and years follow the
calendar of the zone. Times are microseconds since the epoch, as in `domain.series`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain.series import EARLIEST, EPOCH, LATEST

MICROSECOND = timedelta(microseconds=1)
SECOND, DAY = 1_000_000, 86_400_000_000
MONTH = DAY * 146_097 // 4_800  # on average, of 400 years
SHORT = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
WORDS = re.compile(r"([0-9]{1,9})(s|m|h|d)", re.ASCII)
ISO = re.compile(
    r"P(?:(?P<years>[0-9]{1,4})Y)?(?:(?P<months>[0-9]{1,5})M)?(?:(?P<weeks>[0-9]{1,6})W)?(?:(?P<days>[0-9]{1,7})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?(?:(?P<seconds>[0-9]{1,9}(?:[.,][0-9]{1,6})?)S)?)?",
    re.ASCII,
)
EXPECTED = "is no duration like PT5M, P1D, P1W or P1M, nor one like 90s, 5m, 1h or 1d"
MONDAY = date(1969, 12, 29).toordinal()
THURSDAY = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = 1, date.max.toordinal() - 1
"""What lies before and after them is theirs: in some zones it would be beyond the years 1 to 9999."""


class TooManyBuckets(ValueError):
    """More buckets than may be asked for at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Of one kind: `clock` microseconds, at most a day; or whole days, weeks or months."""

    clock: int = 0
    days: int = 0
    weeks: int = 0
    months: int = 0

    @property
    def microseconds(self) -> int:
        """Exact for clock times, else on average."""
        return self.clock + self.days * DAY + self.weeks * 7 * DAY + self.months * MONTH

    def __str__(self) -> str:
        """ISO 8601, in the largest units that it is a whole number of."""
        if self.months:
            return f"P{self.months // 12}Y" if self.months % 12 == 0 else f"P{self.months}M"
        if self.weeks or self.days:
            return f"P{self.weeks}W" if self.weeks else f"P{self.days}D"
        minutes, left = divmod(self.clock, SHORT["m"])
        hours, minutes = divmod(minutes, 60)
        seconds = f"{left / SECOND:f}".rstrip("0").rstrip(".")
        return (
            f"PT{hours}H" * bool(hours)
            + ("PT" * (not hours) + f"{minutes}M") * bool(minutes)
            + (("PT" * (not hours and not minutes) + f"{seconds}S") * bool(left))
        )


CHOICE = tuple(
    [Interval(clock=n * SECOND) for n in (1, 2, 5, 10, 15, 30)]
    + [Interval(clock=n * SHORT["m"]) for n in (1, 2, 5, 10, 15, 30)]
    + [Interval(clock=n * SHORT["h"]) for n in (1, 2, 3, 6, 12)]
    + [Interval(days=1), Interval(weeks=1), Interval(months=1), Interval(months=3)]
    + [Interval(months=12 * n) for n in (1, 2, 5, 10)]
)
"""What is proposed where another would give too many buckets."""


def parse_interval(text: str) -> Interval:
    """Raises ValueError with a sentence for whoever wrote the text."""
    shown = repr(text if len(text) <= 40 else text[:40] + "…")
    if word := WORDS.fullmatch(text):
        number, unit = int(word[1]), word[2]
        given = Interval(days=number) if unit == "d" else Interval(clock=number * SHORT[unit])
    elif (iso := ISO.fullmatch(text)) and any(iso.groups()) and not text.endswith("T"):
        given = _of_parts({name: part or "0" for name, part in iso.groupdict().items()})
    else:
        raise ValueError(f"{shown} {EXPECTED}")
    kinds = sum(bool(part) for part in (given.clock, given.days, given.weeks, given.months))
    if kinds != 1:
        why = "it is no time at all" if kinds == 0 else "days, weeks, months and clock times don't mix"
        raise ValueError(f"{shown} can't be an interval: {why}")
    if given.clock > DAY:
        raise ValueError(f"{shown} can't be an interval: clock times have a day at most; beyond it there are days, P2D")
    return given


def _of_parts(parts: dict[str, str]) -> Interval:
    whole, _, fraction = parts["seconds"].replace(",", ".").partition(".")
    seconds = int(whole) * SECOND + int(fraction.ljust(6, "0"))
    return Interval(
        clock=int(parts["hours"]) * SHORT["h"] + int(parts["minutes"]) * SHORT["m"] + seconds,
        days=int(parts["days"]),
        weeks=int(parts["weeks"]),
        months=int(parts["years"]) * 12 + int(parts["months"]),
    )


def edges(start: int, end: int, interval: Interval, zone: tzinfo, most: int) -> NDArray[np.int64]:
    """Where the buckets that hold `start` to `end` begin, and where the last one ends: shape (buckets + 1,), ascending.

    Raises TooManyBuckets beyond `most`.
    """
    found = _edges(start, end, interval, zone, most)
    if found is None:
        longer = [each for each in CHOICE if each.microseconds > interval.microseconds]
        fits = next((each for each in longer if _edges(start, end, each, zone, most) is not None), "a shorter range")
        raise TooManyBuckets(f"{interval} gives more than {most} buckets; {fits} fits")
    return np.array(found, np.int64)


def _edges(start: int, end: int, interval: Interval, zone: tzinfo, most: int) -> list[int] | None:
    """None where they are of more than `most` buckets."""
    if (end - start) / interval.microseconds > most + 1:
        return None
    found: list[int] = []
    for edge in _clock_edges(start, interval.clock, zone) if interval.clock else _calendar_edges(start, interval, zone):
        if edge <= start:
            found = [max([*found, edge])]
        elif edge > found[-1]:  # not so behind a day that the zone left out when it changed sides of the date line
            found.append(edge)
        if edge > end:
            return found
        if len(found) > most:
            return None
    return None


def _clock_edges(start: int, step: int, zone: tzinfo) -> Iterator[int]:
    """From the multiple at or before `start`, counted from midnight; each midnight begins anew."""
    day = _local_day(start, zone)
    midnight, next_midnight = _midnight(day, zone), _midnight(day + 1, zone)
    edge = midnight + (start - midnight) // step * step
    while edge <= LATEST:
        while edge < next_midnight:
            yield edge
            edge += step
        day += 1
        edge, next_midnight = next_midnight, _midnight(day + 1, zone)
    yield edge


def _calendar_edges(start: int, interval: Interval, zone: tzinfo) -> Iterator[int]:
    first_day = _first_days(interval)
    number = _number_of(interval, _local_day(start, zone))
    while True:
        yield _midnight(first_day(number), zone)
        number += 1


def _number_of(interval: Interval, day: int) -> int:
    """Which of all intervals of this length a day lies in."""
    if interval.months:
        date_of = date.fromordinal(day)
        return (date_of.year * 12 + date_of.month - 1) // interval.months
    origin = MONDAY if interval.weeks else THURSDAY
    return (day - origin) // (interval.days + 7 * interval.weeks)


def _first_days(interval: Interval) -> Callable[[int], int]:
    """The ordinal of an interval's first day, by the interval's number."""

    def of_months(number: int) -> int:
        year, month = divmod(number * interval.months, 12)
        return date(year, month + 1, 1).toordinal() if 0 < year <= MAXYEAR else FIRST_DAY if year <= 0 else LAST_DAY + 1

    origin, length = MONDAY if interval.weeks else THURSDAY, interval.days + 7 * interval.weeks
    return of_months if interval.months else lambda number: max(origin + number * length, FIRST_DAY)


def _local_day(time: int, zone: tzinfo) -> int:
    try:
        return min((EPOCH + time * MICROSECOND).astimezone(zone).toordinal(), LAST_DAY)
    except OverflowError:
        return FIRST_DAY if time < 0 else LAST_DAY


def _midnight(day: int, zone: tzinfo) -> int:
    """When a day begins; where clocks skip midnight, it is the moment of the change."""
    if not FIRST_DAY < day <= LAST_DAY:
        return EARLIEST if day <= FIRST_DAY else LATEST + 1
    begins = datetime.combine(date.fromordinal(day), datetime.min.time(), zone)
    return (begins.astimezone(UTC) - EPOCH) // MICROSECOND
