"""How long a bucket is, and where buckets begin."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain.intervals import CHOICE, Interval, TooManyBuckets, edges, parse_interval
from datacosmos.domain.series import EARLIEST, LATEST, from_datetime

BERLIN, SAO_PAULO = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Sao_Paulo")
FARTHEST = [UTC, ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo"), ZoneInfo("Pacific/Kiritimati")]


def begins(interval: str, start: str, end: str, zone: tzinfo = UTC) -> list[str]:
    """In local time."""
    first, last = (from_datetime(datetime.fromisoformat(time)) for time in (start, end))
    found = edges(first, last, parse_interval(interval), zone, 100)
    return [datetime.fromtimestamp(edge / 1e6, zone).isoformat()[:16] for edge in found.tolist()]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("90s", "PT1M30S"),
        ("5m", "PT5M"),
        ("1h", "PT1H"),
        ("24h", "PT24H"),
        ("1d", "P1D"),
        ("PT1H30M", "PT1H30M"),
        ("PT0.5S", "PT0.5S"),
        ("PT0,000001S", "PT0.000001S"),
        ("P2D", "P2D"),
        ("P1W", "P1W"),
        ("P1M", "P1M"),
        ("P1Y", "P1Y"),
        ("P1Y6M", "P18M"),
    ],
)
def test_a_duration_is_read_in_both_ways_and_told_in_one(text: str, printed: str) -> None:
    assert str(parse_interval(text)) == printed
    assert parse_interval(printed) == parse_interval(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no duration like PT5M"),
        ("P", "is no duration"),
        ("PT", "is no duration"),
        ("5", "is no duration"),
        ("-5m", "is no duration"),
        ("\u0665m", "is no duration"),
        ("1w", "is no duration"),
        ("0s", "no time at all"),
        ("P1DT1H", "don't mix"),
        ("P1M1D", "don't mix"),
        ("25h", "a day at most"),
        ("9" * 5000, "is no duration"),
    ],
)
def test_what_can_be_no_interval_is_told_so_in_a_short_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        parse_interval(text)
    assert len(str(raised.value)) < 200


def test_buckets_are_whole_and_hold_both_ends() -> None:
    assert begins("15m", "2024-03-28T12:07Z", "2024-03-28T12:30Z") == [
        f"2024-03-28T12:{minute}" for minute in ("00", "15", "30", "45")
    ]


def test_hours_begin_anew_at_each_midnight_also_when_clocks_change() -> None:
    assert begins("6h", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00", BERLIN) == [
        "2024-03-31T00:00",
        "2024-03-31T07:00",
        "2024-03-31T13:00",
        "2024-03-31T19:00",
        "2024-04-01T00:00",
        "2024-04-01T06:00",
    ]
    assert begins("5h", "2024-03-28T21:00Z", "2024-03-29T01:00Z")[:3] == [
        "2024-03-28T20:00",
        "2024-03-29T00:00",
        "2024-03-29T05:00",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2024-03-31", ["00:00", "07:00", "13:00", "19:00"]),
        ("Europe/Berlin", "2024-10-27", ["00:00", "05:00", "11:00", "17:00", "23:00"]),
        ("America/Sao_Paulo", "2018-11-04", ["01:00", "07:00", "13:00", "19:00"]),  # clocks skip midnight
        ("America/Sao_Paulo", "2018-02-17", ["00:00", "06:00", "12:00", "18:00", "23:00"]),  # 23:00 comes twice
        ("America/Havana", "2024-11-03", ["00:00", "05:00", "11:00", "17:00", "23:00"]),  # midnight comes twice
        ("Australia/Lord_Howe", "2024-10-06", ["00:00", "06:30", "12:30", "18:30"]),  # by half an hour
        ("Australia/Lord_Howe", "2024-04-07", ["00:00", "05:30", "11:30", "17:30", "23:30"]),
        ("Asia/Kathmandu", "2024-03-31", ["00:00", "06:00", "12:00", "18:00"]),  # 5:45 east
    ],
)
def test_six_hours_are_counted_from_the_midnight_of_each_zone(zone: str, day: str, expected: list[str]) -> None:
    start = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone))
    midnight, last = start.replace(hour=0), start.replace(hour=23, minute=59, fold=1)
    found = begins("6h", midnight.isoformat(), last.isoformat(), ZoneInfo(zone))
    assert found[:-1] == [f"{day}T{time}" for time in expected]
    assert found[-1] == f"{date.fromisoformat(day) + timedelta(1)}T00:00"


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("P1D", ["29T00:00", "31T00:00", "01T00:00"]),
        ("P2D", ["28T00:00", "31T00:00", "01T00:00"]),
        ("PT12H", ["29T12:00", "31T00:00", "31T12:00", "01T00:00"]),
    ],
)
def test_a_day_that_a_zone_leaves_out_has_no_bucket(interval: str, expected: list[str]) -> None:
    """Samoa went from the 29th to the 31st as it crossed the date line."""
    found = begins(interval, "2011-12-29T12:00-10:00", "2011-12-31T12:00+14:00", ZoneInfo("Pacific/Apia"))
    assert [each[8:] for each in found] == expected


@pytest.mark.parametrize(
    ("interval", "first", "second"),
    [
        ("P1D", "2024-03-31", "2024-04-01"),
        ("P2D", "2024-03-30", "2024-04-01"),
        ("P1W", "2024-03-25", "2024-04-01"),
        ("P1M", "2024-03-01", "2024-04-01"),
        ("P3M", "2024-01-01", "2024-04-01"),
        ("P1Y", "2024-01-01", "2025-01-01"),
        ("P10Y", "2020-01-01", "2030-01-01"),
    ],
)
def test_days_and_more_follow_the_calendar_of_the_zone(interval: str, first: str, second: str) -> None:
    found = begins(interval, "2024-03-31T00:30+01:00", "2024-03-31T01:30+01:00", BERLIN)
    assert found == [f"{first}T00:00", f"{second}T00:00"]


def test_a_day_whose_midnight_the_clocks_skip_begins_with_the_change() -> None:
    found = begins("P1D", "2018-11-03T12:00-03:00", "2018-11-04T12:00-02:00", SAO_PAULO)
    assert found == ["2018-11-03T00:00", "2018-11-04T01:00", "2018-11-05T00:00"]


@given(
    start=st.one_of(st.integers(EARLIEST + 10**14, LATEST - 10**14), st.integers(-(10**15), 2 * 10**15)),
    length=st.integers(0, 10**13),
    interval=st.sampled_from([each for each in CHOICE if each.microseconds >= 10**10]),
    zone=st.timezones(),
)
def test_wherever_it_begins_the_first_bucket_holds_the_start_and_the_last_one_the_end(
    start: int, length: int, interval: Interval, zone: tzinfo
) -> None:
    found = edges(start, start + length, interval, zone, 10_000)
    assert found[0] <= start < found[1]
    assert found[-2] <= start + length < found[-1]
    assert (np.diff(found) > 0).all()


@given(
    start=st.integers(-(10**15), 2 * 10**15),
    days=st.integers(4900, 5100),
    interval=st.sampled_from(["PT6H", "PT5H", "7h"]),
    zone=st.sampled_from([UTC, BERLIN, SAO_PAULO]),
)
def test_the_interval_that_is_named_fits_indeed(start: int, days: int, interval: str, zone: tzinfo) -> None:
    """A year with two changes of clocks has one bucket of 12 h more, so that twice as long may be too short."""
    end = start + days * 86_400_000_000
    with pytest.raises(TooManyBuckets) as refused:
        edges(start, end, parse_interval(interval), zone, 10_000)
    named = str(refused.value).split("; ")[1].split()[0]
    assert len(edges(start, end, parse_interval(named), zone, 10_000)) <= 10_001


def test_the_calendar_ends_without_an_error() -> None:
    end = LATEST - 1
    assert edges(end - 10**13, end, parse_interval("P1M"), UTC, 100)[-1] > end
    assert edges(EARLIEST + 10**11, EARLIEST + 10**13, parse_interval("P10Y"), UTC, 100)[0] <= EARLIEST + 10**11


@pytest.mark.parametrize("zone", FARTHEST, ids=str)
@pytest.mark.parametrize("interval", ["PT1H", "PT7H", "P1D", "P1W", "P1M", "P1Y"])
@pytest.mark.parametrize(
    ("start", "end"), [(EARLIEST, EARLIEST), (EARLIEST, EARLIEST + 10**11), (LATEST - 10**11, LATEST), (LATEST, LATEST)]
)
def test_both_ends_of_the_calendar_lie_in_buckets_in_zones_east_and_west(
    start: int, end: int, interval: str, zone: tzinfo
) -> None:
    found = edges(start, end, parse_interval(interval), zone, 100)
    assert EARLIEST <= found[0] <= start < found[1]
    assert found[-2] <= end < found[-1] <= LATEST + 1
    assert (np.diff(found) > 0).all()


def test_too_many_buckets_are_refused_with_the_next_interval_that_fits() -> None:
    year = 365 * 86_400 * 1_000_000
    with pytest.raises(TooManyBuckets, match=r"PT1M gives more than 10000 buckets; PT1H fits"):
        edges(0, year, parse_interval("1m"), UTC, 10_000)
    assert len(edges(0, year, parse_interval("1h"), UTC, 10_000)) == 365 * 24 + 2
