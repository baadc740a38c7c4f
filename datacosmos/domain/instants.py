"""Instants as people write them: ISO 8601 with an offset."""

import re
from datetime import UTC, datetime, timedelta

# All that datetime.fromisoformat reads, but for what ISO 8601 does not know or what names no instant.
SHAPE = re.compile(
    r"([0-9W-]+T[0-9:]+(?:[.,][0-9]{1,6})?)([0-9]*)(Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)", re.ASCII
)
EXPECTED = "is no ISO 8601 time with an offset or Z, like 2024-03-28T16:55:34Z or 2024-03-28T17:55:34+01:00"


def parse_time(text: str) -> datetime:
    """The instant in UTC, rounded to the microsecond. Raises ValueError with a sentence for whoever wrote the text."""
    shown = repr(text if len(text) <= 40 else text[:40] + "…")
    if not (shape := SHAPE.fullmatch(text)):
        raise ValueError(f"{shown} {EXPECTED}")
    kept, further, offset = shape.groups()
    try:
        moment = datetime.fromisoformat(kept + offset).astimezone(UTC)
        return moment + timedelta(microseconds=1) if further and round(float(f"0.{further}")) else moment
    except OverflowError:
        raise ValueError(f"{shown} lies outside the years 1 to 9999") from None
    except ValueError as error:
        raise ValueError(f"{shown} {EXPECTED}: {error}") from None
