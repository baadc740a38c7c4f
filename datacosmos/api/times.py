"""Times as clients write and read them: ISO 8601 with an offset in, or epoch seconds for series; UTC with Z out."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, NamedTuple

from fastapi import Query

from datacosmos.domain.instants import parse_time
from datacosmos.domain.series import EARLIEST, EXACT, LATEST, SECOND, from_datetime
from datacosmos.errors import InvalidRange
from datacosmos.http.problems import InvalidParameters
from datacosmos.store.ranges import Window

SECONDS = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def format_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def make_window(start: datetime | None, end: datetime | None) -> Window:
    """Raises InvalidRange when start is after end."""
    if start is not None and end is not None and start > end:
        raise InvalidRange(f"start ({format_time(start)}) is after end ({format_time(end)})")
    return Window(start, end)


class Span(NamedTuple):
    """From `start` to `end`, both inclusive, in microseconds since the epoch; each open where None."""

    start: int | None
    end: int | None


EDGE = Query(
    description="Epoch seconds, or ISO 8601 with an offset or Z (a + is written %2B); inclusive; none: open.",
    examples=["1711644934.5", "2024-03-28T16:55:34Z"],
)


async def read_span(
    start: Annotated[str, EDGE, Query(alias="from")] = "", end: Annotated[str, EDGE, Query(alias="to")] = ""
) -> Span:
    """Raises InvalidParameters with every fault, and InvalidRange when `to` is before `from`."""
    span: dict[str, int | None] = {}
    faults: dict[str, str] = {}
    for name, text in (("from", start), ("to", end)):
        try:
            span[name] = parse_microseconds(text) if text else None
        except ValueError as error:
            faults[name] = str(error)
    if faults:
        raise InvalidParameters(faults)
    if span["from"] is not None and span["to"] is not None and span["to"] < span["from"]:
        raise InvalidRange(f"to ({end}) is before from ({start})")
    return Span(span["from"], span["to"])


def parse_microseconds(text: str) -> int:
    """Rounded as a pushed time is, so that a point lies within a range that begins or ends with its t."""
    if not SECONDS.fullmatch(text):
        try:
            return from_datetime(parse_time(text))
        except ValueError as error:
            raise ValueError(f"{error}; nor is it epoch seconds") from None
    microseconds = float(text) * SECOND
    exact = microseconds if abs(microseconds) <= EXACT else Decimal(text) * SECOND
    if not EARLIEST <= exact <= LATEST:
        raise ValueError(f"{text[:40]!r} lies outside the years 1 to 9999")
    return round(exact)
