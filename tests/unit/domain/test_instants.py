from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain.instants import parse_as_sent, parse_time, parse_times
from datacosmos.domain.series import from_datetime
from tests.spellings import spellings

MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(MOMENTS, OFFSETS, st.integers(0, 999))
def test_what_clients_of_all_languages_write_is_the_same_instant(
    moment: datetime, offset: timezone, nanoseconds: int
) -> None:
    texts = spellings(moment, offset, nanoseconds)
    assert {parse_time(text) for text in texts} == {moment}
    assert parse_times(texts) == [from_datetime(moment)] * len(texts)
    assert {sent.astimezone(UTC) for text in texts if (sent := parse_as_sent(text))} == {moment}


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2024-03-28T16:55:34.1234564Z", 123456),
        ("2024-03-28T17:55:34,1234566+01:00", 123456),
        ("2024-03-28T16:55:34.123456789Z", 123456),
        ("2024-03-28T16:55:34.9999999Z", 999_999),
        ("2024-03-28T16:55:34.999999999Z", 999_999),
        ("2024-03-28t16:55:34.1z", 100_000),
        ("2024-03-28 16:55:34.12Z", 120_000),
    ],
)
def test_a_fraction_of_one_to_nine_digits_is_cut_to_the_microsecond(text: str, microsecond: int) -> None:
    assert parse_time(text) == datetime(2024, 3, 28, 16, 55, 34, microsecond, UTC)


def test_seconds_may_be_left_out() -> None:
    assert parse_time("2024-03-28T15:00Z") == datetime(2024, 3, 28, 15, tzinfo=UTC)
    assert parse_time("2024-03-28 16:30+01:00") == datetime(2024, 3, 28, 15, 30, tzinfo=UTC)


def test_the_last_microsecond_of_the_calendar_is_a_time() -> None:
    assert parse_time("9999-12-31T23:59:59.9999999Z") == datetime.max.replace(tzinfo=UTC)


WRONG = [
    "2024-03-28X16:55:34Z",
    "2024-03-28T16:55:34",
    "2024-03-28T16:55:34 Z",
    "2024-03-28  16:55:34Z",
    "2024-03-28T16:55:34.Z",
    "2024-03-28T16:55:34.1234567891Z",
    "2024-03-28T16:55.5Z",
    "2024-03-28T16.5Z",
    "2024-03-28T24:00:00Z",
    "2024-03-28T16:55:60Z",
    "2024-03-28T16:55:34+24:00",
    "2024-03-28T16:55:34[Europe/Paris]",
    "2024-03-28T16:55:34+01:00[Europe/Paris",
    "2024-03-28T16:55:34+01:00[]",
    "2024-03-28T16:55:34+01:00[!Europe/Paris]",
    "2024-03-28T16:55:34+01:00[Europe/Paris]Z",
    "2024-03-28T16:55:34+01:00[0.5]",
    "1890-01-01T00:00:00+00:53:60",
    "1890-01-01T00:00:00+00:53:28.5",
    "2024-03-28T16:55:34Z\n",
    "2024-03-28Z",
    "2024-02-30T16:55:34Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "+12024-03-28T16:55:34Z",
    "\u0662024-03-28T16:55:34Z",
    "",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_names_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no ISO 8601 time|outside the years"):
        parse_time(text)
    with pytest.raises(ValueError, match=r"no ISO 8601 time|outside the years|out of range"):
        parse_times(["2024-03-28T16:55:34Z", text])


def test_an_offset_may_have_seconds() -> None:
    for text in ("1890-01-01T00:00:00+00:53:28", "1890-01-01T00:00:00+005328"):
        assert parse_time(text) == datetime(1889, 12, 31, 23, 6, 32, tzinfo=UTC)


def test_a_leap_second_is_refused_with_its_own_reason() -> None:
    with pytest.raises(ValueError, match="leap second"):
        parse_time("2016-12-31T23:59:60Z")


def test_a_time_without_an_offset_is_told_from_one_that_has_one() -> None:
    assert parse_as_sent("2024-03-28 16:55") == datetime(2024, 3, 28, 16, 55)  # noqa: DTZ001
    assert parse_as_sent("2024-03-28T16:55z") == datetime(2024, 3, 28, 16, 55, tzinfo=UTC)
    assert parse_as_sent("yesterday") is None
