"""What a minute average is and how a location folds into it.

A user's minute in UTC is kept as sums and counts, never as records. The sums are decimal: a sum of floats would
depend on the order of arrival, and could overflow; one of 34 digits is that of the numbers as they were written.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal, localcontext
from enum import StrEnum

# Locations that a minute as sent may hold: what bounds its document, and the search for a duplicate in it.
CAPACITY = 6_000
DIGITS, ZERO = Context(prec=34), Decimal(0)
HALF_TURN = 180  # degrees


class Folded(StrEnum):
    """What became of a location: counted, counted as a duplicate of an earlier one, or refused."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a user was: degrees, metres, metres a second; the speed is None where the phone did not know it.

    `sent` is the timestamp as sent: naive if local, else with the offset it was sent with. `time` is the same in UTC.
    """

    user_id: str
    sent: datetime
    time: datetime
    lat: float
    long: float
    accuracy: float
    speed: float | None

    @property
    def minute(self) -> datetime:
        """The minute in UTC that it counts in."""
        return self.time.replace(second=0, microsecond=0)

    @property
    def minute_as_sent(self) -> str:
        """With the user and `offset`, what is the same for duplicates: 2017-01-01T13:05 or 2017-01-01T13:05+01:00."""
        return self.sent.replace(second=0, microsecond=0).isoformat(timespec="minutes")

    @property
    def offset(self) -> int:
        """Microseconds into the minute."""
        return self.sent.second * 1_000_000 + self.sent.microsecond


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the locations of a minute add up to; `speeds` counts those whose speed was known.

    `west` counts those of a negative longitude, and `west_long` is the sum of these; minutes of earlier versions don't
    have them, and both are 0.
    """

    count: int
    lat: Decimal
    long: Decimal
    west: int
    west_long: Decimal
    accuracy: Decimal
    speed: Decimal
    speeds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """The simple averages over one minute in UTC; the speed is None where no location knew it."""

    minute: datetime
    lat: float
    long: float
    accuracy: float
    speed: float | None
    count: int
    duplicates: int


def to_utc(sent: datetime, zone: tzinfo) -> datetime:
    """The time in UTC that a local one was.

    Of the hour that occurs twice, the first; a time that never occurred is moved forward by the size of the gap. Both
    are what `fold=0` means (PEP 495). Raises OverflowError outside the years 1 to 9999.
    """
    return sent.replace(tzinfo=zone, fold=0).astimezone(UTC)


@dataclass
class HeldMinute:
    """One of the minutes in UTC that a minute as sent counts in, and what is to be added to it."""

    minute: datetime
    added: list[Location] = field(default_factory=list[Location])
    duplicates: int = 0


@dataclass
class MinuteAsSent:
    """A user's minute as sent, with what there is of the offsets at hand; a location folds into it.

    `held` begins with the minutes that are stored already; `seen` says in which one an offset counts.
    """

    count: int = 0
    held: list[HeldMinute] = field(default_factory=list[HeldMinute])
    seen: dict[int, HeldMinute] = field(default_factory=dict[int, HeldMinute])

    def fold(self, location: Location, capacity: int) -> Folded:
        if winner := self.seen.get(location.offset):
            winner.duplicates += 1
            return Folded.DUPLICATE
        if self.count >= capacity:
            return Folded.FULL
        self.count += 1
        held = self.seen[location.offset] = self._held(location.minute)
        held.added.append(location)
        return Folded.STORED

    def _held(self, minute: datetime) -> HeldMinute:
        for held in self.held:
            if held.minute == minute:
                return held
        self.held.append(HeldMinute(minute))
        return self.held[-1]


def sums_of(*locations: Location) -> Sums:
    """What locations add to their minute."""
    return Sums(
        count=len(locations),
        lat=_sum(location.lat for location in locations),
        long=_sum(location.long for location in locations),
        west=sum(location.long < 0 for location in locations),
        west_long=_sum(location.long for location in locations if location.long < 0),
        accuracy=_sum(location.accuracy for location in locations),
        speed=_sum(location.speed or 0.0 for location in locations),
        speeds=sum(location.speed is not None for location in locations),
    )


def average(minute: datetime, sums: Sums, duplicates: int) -> Minute:
    """Each average is the float nearest to the exact one."""
    return Minute(
        minute=minute,
        lat=mean(sums.lat, sums.count),
        long=mean_long(sums.long, sums.count, sums.west_long, sums.west),
        accuracy=mean(sums.accuracy, sums.count),
        speed=mean(sums.speed, sums.speeds) if sums.speeds else None,
        count=sums.count,
        duplicates=duplicates,
    )


def mean(total: Decimal, count: int) -> float:
    """As MongoDB has it, which divides to as many digits."""
    return float(DIGITS.divide(total, count))


def mean_long(total: Decimal, count: int, west_total: Decimal, west: int) -> float:
    """The average longitude, across 180 degrees where that is the shorter way between the east and the west."""
    east = count - west
    if west and east and (total - west_total) / east - west_total / west > HALF_TURN:
        onward = (total + 2 * HALF_TURN * west) / count
        return float(onward - 2 * HALF_TURN if onward > HALF_TURN else onward)
    return mean(total, count)


def _sum(numbers: Iterable[float]) -> Decimal:
    """Of the shortest decimals that are these floats: what was sent, up to 15 digits."""
    with localcontext(DIGITS):
        return sum((Decimal(repr(number)) for number in numbers), ZERO)
