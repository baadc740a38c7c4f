import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datacosmos.domain.points import Reason
from datacosmos.settings import Settings
from datacosmos.sources.sensors import MAX_RECORD, source
from tests.spellings import spellings

SENSORS = source(Settings.model_construct())
parse = SENSORS.read
NOON = datetime(2019, 6, 24, 12, tzinfo=UTC)
TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def record(**changes: Any) -> dict[str, Any]:
    content = {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"}
    given = {"id": "a1", "type": "Sensor", "content": content}
    for name, value in changes.items():
        (given if name in given else content)[name] = value
    return given


def parsed(**changes: Any) -> Any:
    return parse(json.dumps(record(**changes)).encode())


def test_the_example_is_read_in_celsius_and_utc() -> None:
    reading = parsed()
    assert (reading.series, reading.faults) == ("sensors/a1", ())
    assert reading.value == pytest.approx(32.2222222)
    assert reading.sent_value == 90
    assert reading.time == datetime(2019, 6, 24, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "spelled",
    [
        "2019-06-24T15:00:00",
        "2019-06-24 15:00:00",
        "2019-06-24T15:00:00Z",
        "2019-06-24T15:00:00.000",
        "2019-06-24T17:00:00+02:00",
        "2019-06-24T07:30:00.0-0730",
        "2019-06-24t15:00:00,000000000z",
        "2019-06-24 15:00Z",
        "2019-06-24T15:00",
    ],
)
def test_the_same_instant_is_the_same_reading_however_it_is_spelled(spelled: str) -> None:
    assert parsed(time_of_measurement=spelled).identity == parsed().identity


@given(TIMES, st.integers(-1400, 1400), st.integers(0, 999))
def test_a_time_of_measurement_is_the_same_instant_however_clients_spell_it(
    moment: datetime, minutes: int, nanoseconds: int
) -> None:
    texts = spellings(moment, timezone(timedelta(minutes=minutes)), nanoseconds)
    assert {parsed(time_of_measurement=text).time for text in texts} == {moment}


@pytest.mark.parametrize("fraction", [".001", ".0000001", ".000000001"])
def test_instants_apart_by_less_than_can_be_stored_are_told_apart(fraction: str) -> None:
    assert parsed(time_of_measurement=f"2019-06-24T15:00:00{fraction}").identity != parsed().identity


@given(st.floats(min_value=-459.67, allow_infinity=False) | st.floats(1e307, sys.float_info.max))
@example(1e308)
@example(sys.float_info.max)
def test_every_temperature_above_absolute_zero_is_kept_as_sent_and_as_a_finite_one(fahrenheit: float) -> None:
    reading = parsed(temperature_f=fahrenheit)
    assert (reading.faults, reading.sent_value) == ((), fahrenheit)
    exact = (Fraction(fahrenheit) - 32) * 5 / 9
    assert reading.value == pytest.approx(float(exact), rel=1e-15, abs=1e-13)


WRONG_NUMBERS: list[Any] = [-459.68, "90", None, True, [], {}, float("nan"), float("inf")]
WRONG: list[dict[str, Any]] = [
    *({"temperature_f": wrong} for wrong in WRONG_NUMBERS),
    *({"id": wrong} for wrong in ("", 5, None, "\ud800", "a\0b", "x" * 257)),
    *({"type": wrong} for wrong in ("sensor", "", None, 5)),
    *({"content": wrong} for wrong in (None, "x", 5)),
    *(
        {"time_of_measurement": wrong}
        for wrong in (1561388400, None, "", "2019-06-24", "15:00", "2019-02-30T00:00:00", "0001-01-01T00:00:00+14:00")
    ),
    *(
        {"time_of_measurement": f"2019-06-24T{wrong}"}
        for wrong in ("15:00:00.0123456789", "15:00.5", "24:00", "15:00:60", "15:00 Z")
    ),
]


@pytest.mark.parametrize("changes", WRONG, ids=repr)
def test_what_is_no_reading_is_malformed_and_kept_as_it_came(changes: dict[str, Any]) -> None:
    raw = json.dumps(record(**changes)).encode()
    reading = parse(raw)
    assert reading.faults
    assert reading.raw == raw


@given(st.binary(max_size=200))
def test_any_bytes_make_a_reading_with_its_faults(raw: bytes) -> None:
    reading = parse(raw)
    assert reading.faults
    assert reading.raw == raw


def test_a_nesting_bomb_and_an_endless_record_are_malformed() -> None:
    assert parse(b"[" * 60_000).faults
    endless = parse(b'{"id": "' + b"x" * MAX_RECORD)
    assert endless.faults
    assert len(endless.raw) == MAX_RECORD


def test_a_delivery_holds_every_record_in_order_under_ids_of_its_own() -> None:
    raws = [json.dumps(record(id=name)).encode() for name in "abc"]
    delivery = SENSORS.receive([*raws, b"rubbish"], delivery_id="d", received_at=NOON, sender="ada")
    assert [point.id for point in delivery.points] == ["d/00000", "d/00001", "d/00002", "d/00003"]
    assert [point.verdict.reason for point in delivery.points] == [None, None, None, Reason.MALFORMED]
    assert delivery.needs_receipt


@given(TIMES)
def test_no_reading_is_too_old_unless_an_age_is_set(time: datetime) -> None:
    raw = json.dumps(record(time_of_measurement=time.isoformat())).encode()
    aging = source(Settings.model_construct(sensors_max_age=timedelta(days=1)))
    free = SENSORS.receive([raw], delivery_id="d", received_at=NOON)
    bound = aging.receive([raw], delivery_id="d", received_at=NOON)
    assert free.points[0].verdict.reasons == ()
    too_old = NOON - time > timedelta(days=1)
    assert bound.points[0].verdict.reasons == ((Reason.TOO_OLD,) if too_old else ())
