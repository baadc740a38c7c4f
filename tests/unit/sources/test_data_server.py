import json
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datacosmos.domain.points import Reading, Reason
from datacosmos.domain.rules import judge
from datacosmos.settings import Settings
from datacosmos.sources.data_server import MAX_BODY, SERIES, SOURCE, configured, rules

[DATA_SERVER] = configured(Settings.model_construct())
parse = DATA_SERVER.read
RECEIVED = datetime(2024, 3, 28, 17, 0, tzinfo=UTC)
GOOD = {"time": 1711644934, "value": [218, 202, 115, 191], "tags": []}
FIRST_SECOND = int(datetime.min.replace(tzinfo=UTC).timestamp())
LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
FIELDS = st.fixed_dictionaries({}, optional={"time": JSON, "value": JSON, "tags": JSON})
TAGS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5)


def payload(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


def verdict(reading: Reading) -> tuple[Reason, ...]:
    return judge(reading, RECEIVED, DATA_SERVER.rules).reasons


def is_sound(reading: Reading) -> bool:
    """Whether what was told is of the kind that the store can keep."""
    "".join(reading.tags).encode()
    return (
        (reading.time is None or reading.time.tzinfo is UTC)
        and (reading.value is None or math.isfinite(reading.value))
        and all(0 < len(fault) < 200 for fault in reading.faults)
        and len(reading.faults) <= 4
    )


def test_the_example_is_read() -> None:
    reading = parse(b'{"time": 1711644934, "value": [218, 202, 115, 191], "tags": []}')
    assert (reading.source, reading.series) == (SOURCE, SERIES) == ("data_server", "datacosmos")
    assert reading.time == datetime(2024, 3, 28, 16, 55, 34, tzinfo=UTC)
    assert reading.value == pytest.approx(-0.9523, abs=1e-4)
    assert (reading.tags, reading.faults, reading.identity) == ((), (), None)


@given(st.integers(FIRST_SECOND, LAST_SECOND), st.floats(width=32, allow_nan=False, allow_infinity=False), TAGS)
def test_every_well_formed_point_is_read_exactly(seconds: int, value: float, tags: list[str]) -> None:
    body = payload(time=seconds, value=list(struct.pack("<f", value)), tags=tags)
    reading = parse(body)
    assert reading.faults == ()
    assert reading.time is not None
    assert reading.time - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(seconds=seconds)
    assert reading.value is not None
    assert struct.pack("<d", reading.value) == struct.pack("<d", value)
    assert reading.tags == tuple(tags)
    assert reading.raw == body


@given(st.binary())
def test_any_bytes_give_a_reading_that_keeps_them(body: bytes) -> None:
    reading = parse(body)
    assert is_sound(reading)
    assert reading.raw == body
    assert reading.faults


@given(JSON | FIELDS)
def test_any_json_gives_a_reading_and_a_fault_wherever_a_field_could_not_be_told(value: object) -> None:
    reading = parse(json.dumps(value).encode())
    assert is_sound(reading)
    assert bool(reading.faults) >= (reading.time is None or reading.value is None)


@given(st.integers(0, len(payload()) - 1))
def test_a_body_that_breaks_off_anywhere_is_malformed_and_kept_as_far_as_it_came(length: int) -> None:
    body = payload()[:length]
    reading = parse(body, broken="the connection closed early")
    assert reading.faults == ("the connection closed early",)
    assert reading.raw == body
    assert parse(body).faults


def test_a_broken_transfer_is_malformed_even_when_all_can_be_told() -> None:
    reading = parse(payload(tags=["system"]), broken="the connection closed early")
    assert verdict(reading) == (Reason.MALFORMED, Reason.SYSTEM)
    assert reading.value is not None


@pytest.mark.parametrize("field", ["time", "value"])
def test_a_field_that_is_missing_or_null_is_malformed(field: str) -> None:
    for body in (without(field), payload(**{field: None})):
        (fault,) = parse(body).faults
        assert fault.startswith(f"{field} must be")


@pytest.mark.parametrize("body", [without("tags"), payload(tags=None), payload(tags=[])])
def test_tags_that_are_absent_or_null_are_none(body: bytes) -> None:
    assert (parse(body).tags, parse(body).faults) == ((), ())


NO_TIMES: list[object] = [
    *[1711644934.0, 1711644934.5, 1e9, math.nan, math.inf, True, False, "1711644934", "", [1711644934], {}],
    *[FIRST_SECOND - 1, LAST_SECOND + 1, 2**63, -(2**63), 10**90, 10**120],
]


@pytest.mark.parametrize("seconds", NO_TIMES)
def test_a_time_that_is_no_whole_second_of_the_calendar_is_malformed(seconds: object) -> None:
    reading = parse(payload(time=seconds))
    assert reading.time is None
    assert len(reading.faults) == 1


@pytest.mark.parametrize("seconds", [FIRST_SECOND, -1, 0, LAST_SECOND])
def test_the_ends_of_the_calendar_are_times(seconds: int) -> None:
    reading = parse(payload(time=seconds))
    assert reading.faults == ()
    assert reading.time is not None
    assert int(reading.time.timestamp()) == seconds


NO_VALUES: list[object] = [
    *[[], [218], [218, 202, 115], [218, 202, 115, 191, 0], [0] * 9000, [256, 0, 0, 0], [0, 0, 0, -1], [0, 0, 0, 2**70]],
    *[[218.0, 202, 115, 191], [True, 0, 0, 0], ["218", 0, 0, 0], [None, 0, 0, 0], [[0], 0, 0, 0]],
    *["2sq/", -0.95, 5, True, {}, {"0": 218}],
]


@pytest.mark.parametrize("value", NO_VALUES)
def test_a_value_that_is_not_exactly_four_bytes_is_malformed(value: object) -> None:
    reading = parse(payload(value=value))
    assert reading.value is None
    assert len(reading.faults) == 1
    assert "value" in reading.faults[0]


@pytest.mark.parametrize("value", [math.nan, -math.nan, math.inf, -math.inf])
def test_a_value_that_decodes_to_nan_or_infinity_is_malformed(value: float) -> None:
    reading = parse(payload(value=list(struct.pack("<f", value))))
    assert (reading.value, reading.faults) == (None, ("value must be finite, but is NaN or infinity",))


def test_all_that_can_still_be_told_of_a_malformed_payload_is_told() -> None:
    reading = parse(payload(time=0, value=[0, 0, 192, 127], tags=["system"]))
    assert verdict(reading) == (Reason.MALFORMED, Reason.TOO_OLD, Reason.SYSTEM)
    assert reading.time == datetime(1970, 1, 1, tzinfo=UTC)


def test_every_fault_is_listed() -> None:
    reading = parse(payload(time="noon", value=[1], tags=7), broken="the connection closed early")
    assert [fault.split()[0] for fault in reading.faults] == ["the", "time", "value", "tags"]


@pytest.mark.parametrize("bad", [7, None, True, ["system"], {}, 0.5, "\ud800", "a\udfffb"])
def test_a_bad_tag_is_a_fault_and_the_good_ones_are_kept(bad: object) -> None:
    reading = parse(payload(tags=["suspect", bad, "ok", bad]))
    assert reading.tags == ("suspect", "ok")
    assert reading.faults == ("tags must be text that UTF-8 can encode, but 2 of 4 are not, the first at tags[1]",)


@pytest.mark.parametrize("tags", ["system", 7, True, {}, {"system": 1}, 0.5, False, 0, ""])
def test_tags_that_are_no_list_are_malformed_and_none_is_told(tags: object) -> None:
    reading = parse(payload(tags=tags))
    assert (reading.tags, len(reading.faults)) == ((), 1)


def test_a_surrogate_pair_is_one_character_and_no_fault() -> None:
    assert parse(payload(tags=["\U0001f600"])).tags == ("\U0001f600",)


@pytest.mark.parametrize("field", ["time", "value", "tags"])
def test_a_field_given_twice_can_not_be_told(field: str) -> None:
    twice = f'{{"{field}": {json.dumps(GOOD[field])}, '.encode() + payload()[1:]
    reading = parse(twice)
    assert [fault.split()[0] for fault in reading.faults] == [field]
    assert "more than once" in reading.faults[0]
    assert getattr(reading, field) in (None, ())


def test_fields_of_other_names_are_ignored_whatever_they_hold() -> None:
    body = payload(unit="\ud800", nested=[{"time": 1, "x": 10**2000}]).replace(b'"unit"', b'"u": 1, "u": 2, "unit"')
    reading = parse(body)
    assert (reading.faults, reading.value is not None) == ((), True)


def test_a_number_of_thousands_of_digits_spoils_only_its_own_field() -> None:
    body = payload(tags=["system"]).replace(b"1711644934", b"9" * 5000)
    assert verdict(parse(body)) == (Reason.MALFORMED, Reason.SYSTEM)


def test_a_byte_order_mark_is_no_fault_and_is_kept_in_what_was_sent() -> None:
    body = b"\xef\xbb\xbf" + payload()
    reading = parse(body)
    assert (reading.faults, reading.time, reading.raw) == ((), parse(payload()).time, body)


NO_OBJECTS = [
    *[b"", b" ", b"oops", b"null", b"7", b'"text"', b"[]", b"[{}]", b"true", b"{", b"\x00"],
    *[payload() + b"x", payload() * 2, payload().replace(b'"', b"'"), payload()[:-1] + b",}"],
    *[b"\xef\xbb\xbf" * 2 + payload(), payload().decode().encode("utf-16"), b"\xff" + payload()],
    *[payload()[:-1] + more for more in (b', "x": NaN}', b', "x": -Infinity}', b', "x": "\xed\xa0\x80"}')],
    *[b"[" * 50_000, b'{"a":' * 10_000, b'{"tags": ["system"], "x": ' + b"[" * 32_000 + b"]" * 32_000 + b"}"],
]


@pytest.mark.parametrize("body", NO_OBJECTS, ids=lambda body: repr(body[:24]))
def test_what_is_no_json_object_is_malformed_and_nothing_is_told(body: bytes) -> None:
    reading = parse(body)
    assert (reading.time, reading.value, reading.tags, len(reading.faults)) == (None, None, (), 1)
    assert is_sound(reading)
    assert reading.raw == body


def padded(length: int) -> bytes:
    return payload(tags=["system"], note="")[:-2] + b"x" * (length - len(payload(tags=["system"], note=""))) + b'"}'


def test_a_body_of_64_kib_is_read_and_one_byte_more_is_malformed_and_cut() -> None:
    whole, longer = padded(MAX_BODY), padded(MAX_BODY + 1)
    assert (len(whole), len(longer)) == (65536, 65537)
    assert verdict(parse(whole)) == (Reason.SYSTEM,)
    reading = parse(longer)
    assert reading.faults == ("the body is longer than 65536 bytes",)
    assert (reading.tags, reading.raw) == ((), longer[:65536])


def test_of_a_body_that_is_too_long_is_told_what_comes_before_the_cut() -> None:
    reading = parse(payload(tags=["system"]) + b" " * MAX_BODY)
    assert verdict(reading) == (Reason.MALFORMED, Reason.SYSTEM)
    assert reading.raw == (payload(tags=["system"]) + b" " * MAX_BODY)[:MAX_BODY]


@given(st.binary(min_size=1, max_size=64), st.integers(0, 2 * MAX_BODY))
@settings(max_examples=30)
def test_faults_stay_short_and_never_repeat_the_payload(chunk: bytes, length: int) -> None:
    body = (chunk * (length // len(chunk) + 1))[:length]
    assert is_sound(parse(body))
    secret = payload(time="sesame", value=["sesame"], tags=["\ud800sesame", {"sesame": 1}], sesame=1)
    assert not any("sesame" in fault for fault in parse(secret).faults)


def test_a_list_of_thousands_of_bad_tags_is_one_fault() -> None:
    assert len(parse(payload(tags=[1] * 20_000)).faults) == 1


MUTATIONS: dict[str, Callable[[bytes, int], bytes]] = {
    "cut": lambda body, at: body[:at],
    "bad byte": lambda body, at: body[:at] + b"\xff" + body[at:],
    "control character": lambda body, at: body[:at] + b"\x01" + body[at:],
}


@given(st.sampled_from(sorted(MUTATIONS)), st.integers(0, len(payload()) - 1))
def test_a_damaged_payload_is_malformed(damage: str, at: int) -> None:
    assert Reason.MALFORMED in verdict(parse(MUTATIONS[damage](payload(), at)))


def test_the_rules_hold_the_future_against_a_point_only_when_a_lead_is_set() -> None:
    reading = parse(payload(time=LAST_SECOND))
    assert verdict(reading) == ()
    assert judge(reading, RECEIVED, rules(timedelta(hours=1), timedelta(minutes=5))).reasons == (Reason.SUSPECT,)


def test_the_rules_name_every_reason_at_once() -> None:
    reading = parse(payload(time=0, value=[], tags=["suspect", "system"]))
    assert verdict(reading) == (Reason.MALFORMED, Reason.TOO_OLD, Reason.SYSTEM, Reason.SUSPECT)
