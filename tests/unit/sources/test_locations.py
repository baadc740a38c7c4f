import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timezonefinder import TimezoneFinder

from datacosmos.domain.minutes import Location
from datacosmos.errors import InvalidLocation
from datacosmos.sources.locations import MAX_USER_ID, parse, zone_at, zone_named
from tests.spellings import spellings

GOOD: dict[str, Any] = {
    "timestamp": "2017-01-01 13:05:12",
    "lat": 40.701,
    "long": -73.916,
    "accuracy": 11.3000021,
    "speed": 1.3999992,
    "user_id": "a1",
}
FAULTY: dict[str, list[Any]] = {
    "timestamp": [1483275912, None, "", "now", True],
    "lat": [90.0000001, -91, "40.7", True, None, [40], {}],
    "long": [180.0000001, -181, "-73.9", False, None],
    "accuracy": [-0.1, "11", True, None, 10**400],
    "speed": [-0.5, -1.1, -2, "1", False, None],
    "user_id": ["", 1, None, True, ["a1"], "a" * (MAX_USER_ID + 1), "\ud800"],
}
BORDER = {"west": (41.0, -87.5), "east": (41.0, -86.0)}  # of Central and Eastern time, in Indiana
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def record(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def faults(body: bytes) -> dict[str, str]:
    with pytest.raises(InvalidLocation) as caught:
        parse(body)
    assert all(fault in str(caught.value) for fault in caught.value.faults.values())
    return dict(caught.value.faults)


def named(body: bytes) -> set[str]:
    try:
        parse(body)
    except InvalidLocation as error:
        return {*error.faults}
    return set()


def key(location: Location) -> tuple[str, str, int]:
    return location.user_id, location.minute_as_sent, location.offset


def utc(timestamp: str, lat: float = 40.701, long: float = -73.916) -> str:
    location = parse(record(timestamp=timestamp, lat=lat, long=long))
    assert location.time.tzinfo is UTC
    return location.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000", "")


def test_the_example_is_read() -> None:
    assert parse(record()) == Location(
        user_id="a1",
        sent=datetime.fromisoformat("2017-01-01T13:05:12"),
        time=datetime(2017, 1, 1, 18, 5, 12, tzinfo=UTC),
        lat=40.701,
        long=-73.916,
        accuracy=11.3000021,
        speed=1.3999992,
    )


def test_an_unknown_speed_is_none_and_standing_still_is_not() -> None:
    assert parse(record(speed=-1)).speed is None
    assert parse(record(speed=-1.0)).speed is None
    assert parse(record(speed=0)).speed == 0


def test_the_ends_of_the_ranges_are_inside() -> None:
    for lat, long in [(90, 180), (-90, -180), (0, 0)]:
        location = parse(record(lat=lat, long=long, accuracy=0))
        assert (location.lat, location.long) == (lat, long)


def test_fields_of_other_names_are_ignored() -> None:
    assert parse(record(battery={"level": [0.5, None]})) == parse(record())


@pytest.mark.parametrize("name", GOOD)
def test_each_field_is_required(name: str) -> None:
    body = json.dumps({field: value for field, value in GOOD.items() if field != name}).encode()
    assert faults(body) == {name: "is missing"}


@pytest.mark.parametrize("name", FAULTY)
def test_each_faulty_value_is_named(name: str) -> None:
    for value in FAULTY[name]:
        assert list(faults(record(**{name: value}))) == [name], value


def test_every_faulty_field_is_named_at_once_and_nothing_that_was_sent_is_told() -> None:
    found = faults(
        record(timestamp="secret-1", lat=912.25, long="secret-2", accuracy=-912.25, speed=-912.25, user_id=["secret-3"])
    )
    assert list(found) == list(GOOD)
    assert not any("secret" in fault or "912" in fault for fault in found.values())
    assert list(faults(b"{}")) == list(GOOD)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_a_number_that_is_not_finite_is_a_fault_of_its_field(number: str) -> None:
    for name in ("lat", "long", "accuracy", "speed"):
        assert name in faults(record(**{name: "HERE"}).replace(b'"HERE"', number.encode()))


def test_what_is_no_json_number_is_refused_wherever_it_stands() -> None:
    assert faults(record(extra=[math.nan])) == {"body": "must be JSON, but holds NaN"}


def test_a_field_that_is_given_twice_is_a_fault() -> None:
    assert faults(record().replace(b"{", b'{"lat": 1, ', 1)) == {"lat": "must be given only once"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"a"',
        b"{'lat': 1}",
        record() + b"x",
        record(user_id="a\x00").replace(b"\\u0000", b"\x00"),
        record(user_id="HERE").replace(b"HERE", b"\xff"),
        b"\xef\xbb\xbf" + record(),
        record().decode().encode("utf-16"),
        b'{"lat": ' + b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_object_is_a_fault_of_the_body(body: bytes) -> None:
    assert list(faults(body)) == ["body"]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, JSON)) | JSON)
def test_whatever_json_comes_it_is_read_or_refused(value: Any) -> None:
    assert named(json.dumps(value).encode()) <= {*GOOD, "body"}


@given(st.binary(max_size=40))
def test_whatever_bytes_come_they_are_refused(body: bytes) -> None:
    assert faults(body)


@pytest.mark.parametrize(
    "timestamp",
    [
        "2017-01-01",
        "2017-1-1 13:05:12",
        "2017-01-01  13:05:12",
        "2017-01-01 13:05:12 ",
        "2017-01-01 13:05:12\n",
        "2017-01-01 13:05:12.",
        "2017-01-01 13:05:12.1234567891",
        "2017-01-01 13:05.5",
        "2017-01-01 13:05:12 Z",
        "2017-01-01 13:05:12+1",
        "2017-01-01 13:05:12+24:00",
        "2017-01-01 13:05:12+01:60",
        "2017-01-01 24:00:00",
        "2017-01-01 13:60:00",
        "2016-12-31 23:59:60",
        "٢٠١٧-01-01 13:05:12",
        "01/01/2017 13:05:12",
    ],
)
def test_a_timestamp_of_another_form_is_refused(timestamp: str) -> None:
    (fault,) = faults(record(timestamp=timestamp)).items()
    assert fault[0] == "timestamp"
    assert fault[1].startswith("must be text like")


@pytest.mark.parametrize("date", ["2017-02-29", "2017-13-01", "2017-01-00", "0000-01-01"])
def test_a_date_that_never_was_is_refused(date: str) -> None:
    assert faults(record(timestamp=f"{date} 13:05:12")) == {"timestamp": "must be a date that exists"}


def test_a_timestamp_outside_the_years_that_utc_can_tell_is_refused() -> None:
    for timestamp in ("9999-12-31 23:59:59", "9999-12-31 23:59:59-01:00", "0001-01-01 00:00:00+00:01"):
        assert faults(record(timestamp=timestamp)) == {"timestamp": "must lie in the years 1 to 9999 in UTC"}
    assert utc("9999-12-31 18:59:59") == "9999-12-31T23:59:59Z"


def test_what_spells_the_same_time_is_the_same_key() -> None:
    same = ["2017-01-01 13:05:12", "2017-01-01T13:05:12", "2017-01-01 13:05:12.0", "2017-01-01T13:05:12.000000"]
    assert len({key(parse(record(timestamp=timestamp))) for timestamp in same}) == 1
    same = ["2017-01-01 13:05:12.5Z", "2017-01-01T13:05:12.500+00:00", "2017-01-01T13:05:12.500000-00:00"]
    assert len({key(parse(record(timestamp=timestamp))) for timestamp in same}) == 1


def test_a_timestamp_is_read_by_the_rule_of_all_times_and_may_be_local() -> None:
    for spelled in ("2017-01-01t13:05:12.3456789", "2017-01-01 13:05:12.345678999", "2017-01-01T13:05:12,345678"):
        assert key(parse(record(timestamp=spelled))) == key(parse(record(timestamp="2017-01-01 13:05:12.345678")))
    assert utc("2017-01-01 13:05") == "2017-01-01T18:05:00Z"
    assert utc("2017-01-01T13:05z") == utc("2017-01-01 14:05+0100") == "2017-01-01T13:05:00Z"


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)), st.integers(0, 999))  # noqa: DTZ001
def test_a_timestamp_is_the_same_instant_however_clients_spell_it(moment: datetime, nanoseconds: int) -> None:
    texts = spellings(moment, timezone(timedelta(hours=5, minutes=45)), nanoseconds)
    assert {parse(record(timestamp=text)).time for text in texts} == {moment}


def test_full_precision_the_offset_and_the_user_tell_keys_apart_even_at_the_same_instant() -> None:
    apart = [
        "2017-01-01 13:05:12",
        "2017-01-01 13:05:12.001",
        "2017-01-01 13:05:12.001001",
        "2017-01-01 13:05:12-05:00",
        "2017-01-01 18:05:12Z",
        "2017-01-01 19:05:12+01:00",
    ]
    keys = {key(parse(record(timestamp=timestamp))) for timestamp in apart}
    assert len(keys) == len(apart)
    assert key(parse(record(user_id="a2"))) not in keys


def test_the_place_is_no_part_of_the_key() -> None:
    west, east = (parse(record(lat=lat, long=long)) for lat, long in BORDER.values())
    assert key(west) == key(east)
    assert (west.time.hour, east.time.hour) == (19, 18)


def test_an_offset_is_honoured_wherever_the_phone_is() -> None:
    assert utc("2017-01-01 13:05:12Z") == "2017-01-01T13:05:12Z"
    assert utc("2017-01-01T13:05:12.25+05:45") == "2017-01-01T07:20:12.250000Z"
    assert utc("2017-01-01 23:30:00-01:00", lat=-45, long=120) == "2017-01-02T00:30:00Z"


def test_local_time_follows_the_zone_at_the_place() -> None:
    assert utc("2017-07-01 13:05:12") == "2017-07-01T17:05:12Z"
    assert utc("2017-07-01 13:05:12", lat=27.7, long=85.3) == "2017-07-01T07:20:12Z"  # Kathmandu
    assert utc("2011-12-31 13:05:12", lat=-13.8, long=-171.8) == "2011-12-30T23:05:12Z"  # Apia, after its lost day


def test_of_the_hour_that_occurs_twice_the_first_is_taken() -> None:
    assert utc("2017-11-05 01:30:00") == "2017-11-05T05:30:00Z"
    assert utc("2017-11-05 02:00:00") == "2017-11-05T07:00:00Z"
    assert utc("2017-10-29 01:30:00", lat=51.5, long=-0.1) == "2017-10-29T00:30:00Z"  # London


def test_a_time_that_never_occurred_is_moved_forward_by_the_size_of_the_gap() -> None:
    assert utc("2017-03-12 02:30:00") == utc("2017-03-12 03:30:00") == "2017-03-12T07:30:00Z"
    assert utc("2017-03-26 01:15:00", lat=51.5, long=-0.1) == "2017-03-26T01:15:00Z"


def test_the_sea_has_its_nautical_zone() -> None:
    assert zone_at(30.0, -45.0).key == "Etc/GMT+3"
    assert utc("2017-01-01 13:05:12", lat=30, long=-45) == "2017-01-01T16:05:12Z"
    assert utc("2017-01-01 13:05:12", lat=-40, long=90) == "2017-01-01T07:05:12Z"


def test_every_zone_of_the_map_has_rules() -> None:
    with TimezoneFinder() as finder:
        for name in finder.timezone_names:
            assert zone_named(name).key == name
