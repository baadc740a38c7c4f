from datetime import UTC, datetime

import pytest

from datacosmos.domain.instants import parse_time


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2024-03-28T16:55:34.1234564Z", 123456),
        ("2024-03-28T17:55:34,1234566+01:00", 123457),
        ("2024-03-28T16:55:34.123456789Z", 123457),
        ("2024-03-28T16:55:33.9999999Z", 0),
        ("2024-03-28T16:55:34.1Z", 100_000),
    ],
)
def test_a_fraction_of_any_length_is_rounded_to_the_microsecond(text: str, microsecond: int) -> None:
    assert parse_time(text) == datetime(2024, 3, 28, 16, 55, 34, microsecond, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-28X16:55:34Z",
        "2024-03-28t16:55:34Z",
        "2024-03-28 16:55:34Z",
        "2024-03-28T16:55:34",
        "2024-03-28T16:55:34z",
        "2024-02-30T16:55:34Z",
        "9999-12-31T23:59:59.9999999Z",
        "0001-01-01T00:00:00+01:00",
        "\u0662024-03-28T16:55:34Z",
    ],
)
def test_what_names_no_instant_in_iso_8601_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no ISO 8601 time|outside the years"):
        parse_time(text)
