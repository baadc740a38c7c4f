import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain.points import Reason
from datacosmos.sources.sensors import MAX_RECORD, celsius, parse, receive, rules

NOON = datetime(2019, 6, 24, 12, tzinfo=UTC)
TIMES = st.datetimes(timezones=st.just(UTC))


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
    ],
)
def test_the_same_instant_is_the_same_reading_however_it_is_spelled(spelled: str) -> None:
    assert parsed(time_of_measurement=spelled).identity == parsed().identity


@pytest.mark.parametrize("fraction", [".001", ".0000001", ".000000001"])
def test_instants_apart_by_less_than_can_be_stored_are_told_apart(fraction: str) -> None:
    assert parsed(time_of_measurement=f"2019-06-24T15:00:00{fraction}").identity != parsed().identity


@given(st.floats(min_value=-459.67, max_value=1e300))
def test_every_temperature_above_absolute_zero_is_kept_as_sent(fahrenheit: float) -> None:
    reading = parsed(temperature_f=fahrenheit)
    assert (reading.faults, reading.sent_value, reading.value) == ((), fahrenheit, celsius(fahrenheit))


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
    delivery = receive([*raws, b"rubbish"], delivery_id="d", received_at=NOON, judges=rules(None), sender="ada")
    assert [point.id for point in delivery.points] == ["d/00000", "d/00001", "d/00002", "d/00003"]
    assert [point.verdict.reason for point in delivery.points] == [None, None, None, Reason.MALFORMED]
    assert delivery.needs_receipt


@given(TIMES)
def test_no_reading_is_too_old_unless_an_age_is_set(time: datetime) -> None:
    raw = json.dumps(record(time_of_measurement=time.isoformat())).encode()
    free = receive([raw], delivery_id="d", received_at=NOON, judges=rules(None))
    bound = receive([raw], delivery_id="d", received_at=NOON, judges=rules(timedelta(days=1)))
    assert free.points[0].verdict.reasons == ()
    too_old = NOON - time > timedelta(days=1)
    assert bound.points[0].verdict.reasons == ((Reason.TOO_OLD,) if too_old else ())
