from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain.minutes import Location, Sums, average, sums_of, to_utc

NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
SENT = datetime.fromisoformat("2017-01-01T13:05:12")
LOCATION = Location(
    user_id="a1",
    sent=SENT,
    time=datetime(2017, 1, 1, 18, 5, 12, tzinfo=UTC),
    lat=40.701,
    long=-73.916,
    accuracy=11.3000021,
    speed=1.3999992,
)
SEVEN_PLACES = st.integers(-900_000_000, 900_000_000).map(lambda number: number / 10**7)


def added(one: Sums, other: Sums) -> Sums:
    return Sums(
        count=one.count + other.count,
        lat=one.lat + other.lat,
        long=one.long + other.long,
        west=one.west + other.west,
        west_long=one.west_long + other.west_long,
        accuracy=one.accuracy + other.accuracy,
        speed=one.speed + other.speed,
        speeds=one.speeds + other.speeds,
    )


def utc(local: str, zone: ZoneInfo) -> str:
    return to_utc(datetime.fromisoformat(local), zone).isoformat(" ").removesuffix(":00+00:00")


def test_local_time_becomes_utc_by_the_zones_rules_of_that_day() -> None:
    assert utc("2017-01-01 13:05", NEW_YORK) == "2017-01-01 18:05"
    assert utc("2017-07-01 13:05", NEW_YORK) == "2017-07-01 17:05"
    assert to_utc(SENT, NEW_YORK).tzinfo is UTC


def test_of_the_hour_that_occurs_twice_the_first_is_taken() -> None:
    assert utc("2017-11-05 01:30", NEW_YORK) == "2017-11-05 05:30"
    assert utc("2017-11-05 02:00", NEW_YORK) == "2017-11-05 07:00"
    second = datetime.fromisoformat("2017-11-05 01:30").replace(fold=1)
    assert to_utc(second, NEW_YORK) == datetime(2017, 11, 5, 5, 30, tzinfo=UTC)


def test_a_time_that_never_occurred_is_moved_forward_by_the_size_of_the_gap() -> None:
    assert utc("2017-03-12 02:30", NEW_YORK) == utc("2017-03-12 03:30", NEW_YORK) == "2017-03-12 07:30"
    assert utc("2017-10-01 02:10", LORD_HOWE) == utc("2017-10-01 02:40", LORD_HOWE) == "2017-09-30 15:40"


@pytest.mark.parametrize(("local", "zone"), [("9999-12-31 23:00", NEW_YORK), ("0001-01-01 00:00", LORD_HOWE)])
def test_a_time_outside_the_years_that_can_be_told_overflows(local: str, zone: ZoneInfo) -> None:
    with pytest.raises(OverflowError):
        utc(local, zone)


def test_the_minute_as_sent_holds_the_offset_where_one_was_sent() -> None:
    fraction = replace(LOCATION, sent=SENT.replace(microsecond=345_678))
    behind = replace(LOCATION, sent=SENT.replace(tzinfo=UTC))
    assert (fraction.minute_as_sent, fraction.offset) == ("2017-01-01T13:05", 12_345_678)
    assert (behind.minute_as_sent, behind.offset) == ("2017-01-01T13:05+00:00", 12_000_000)
    assert fraction.minute == behind.minute == datetime(2017, 1, 1, 18, 5, tzinfo=UTC)


def test_an_unknown_speed_is_left_out_of_the_average() -> None:
    sums = [sums_of(LOCATION), sums_of(replace(LOCATION, speed=None)), sums_of(replace(LOCATION, speed=0.0))]
    assert average(LOCATION.minute, reduce(added, sums), 0).speed == 1.3999992 / 2
    assert average(LOCATION.minute, sums[1], 0).speed is None
    assert average(LOCATION.minute, sums[2], 0).speed == 0


def test_sums_of_the_greatest_numbers_do_not_overflow() -> None:
    greatest = replace(LOCATION, accuracy=1.7976931348623157e308)
    sums = added(sums_of(greatest), sums_of(greatest))
    assert average(LOCATION.minute, sums, 0).accuracy == greatest.accuracy


def test_one_location_is_its_own_average() -> None:
    minute = average(LOCATION.minute, sums_of(LOCATION), 3)
    assert (minute.lat, minute.long, minute.accuracy, minute.speed) == (40.701, -73.916, 11.3000021, 1.3999992)
    assert (minute.minute, minute.count, minute.duplicates) == (LOCATION.minute, 1, 3)


@given(st.lists(SEVEN_PLACES, min_size=1, max_size=60).flatmap(st.permutations))
def test_the_average_is_the_float_nearest_to_the_exact_one_in_any_order(lats: list[float]) -> None:
    exact = sum(Fraction(Decimal(repr(lat))) for lat in lats) / len(lats)
    sums = reduce(added, (sums_of(replace(LOCATION, lat=lat)) for lat in lats))
    assert average(LOCATION.minute, sums, 0).lat == float(exact)


def averaged(*longs: float) -> float:
    return average(LOCATION.minute, reduce(added, (sums_of(replace(LOCATION, long=long)) for long in longs)), 0).long


@pytest.mark.parametrize(
    ("longs", "expected"),
    [
        ((179.999, -179.999), 180.0),
        ((179.9, -179.9, -179.8), -179.9333333333333),
        ((179.9, 179.8, -179.9), 179.9333333333333),
        ((180.0, -180.0), 180.0),
        ((-180.0, -180.0), -180.0),
        ((-179.5, -179.5), -179.5),
        ((0.5, -0.25), 0.125),
        ((-0.0, -0.5), -0.25),
        ((90.0, -90.0), 0.0),
    ],
)
def test_longitudes_are_averaged_on_the_shorter_way_also_across_180_degrees(
    longs: tuple[float, ...], expected: float
) -> None:
    for order in permutations(longs):
        assert averaged(*order) == pytest.approx(expected, abs=1e-12)


@given(st.floats(-180, 180) | st.floats(179.95, 180), st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20))
def test_a_walk_has_the_same_average_wherever_on_the_globe_it_begins(start: float, steps: list[int]) -> None:
    """Steps of 1e-7 to 0.1 degrees to the east or the west."""
    walked = [(start + step * 1e-7 + 180) % 360 - 180 for step in steps]
    away = (averaged(*walked) - (start + sum(steps) * 1e-7 / len(steps)) + 180) % 360 - 180
    assert away == pytest.approx(0, abs=1e-10)


@given(st.lists(SEVEN_PLACES.map(lambda lat: lat / 10), min_size=1, max_size=30))
def test_an_average_that_crosses_nothing_is_the_float_nearest_to_the_exact_one(longs: list[float]) -> None:
    exact = sum(Fraction(Decimal(repr(long))) for long in longs) / len(longs)
    assert averaged(*longs) == float(exact)


def test_the_minutes_of_a_location_begin_with_the_second_zero() -> None:
    late = replace(LOCATION, time=LOCATION.time + timedelta(seconds=47, microseconds=999_999))
    assert late.minute == LOCATION.minute
