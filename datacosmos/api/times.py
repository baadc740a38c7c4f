"""Times as clients write and read them: by `domain.instants` in, or epoch seconds for series; UTC with Z out."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, NamedTuple, TypeVar

from fastapi import Query
from pydantic.json_schema import SkipJsonSchema

from datacosmos.domain.instants import parse_time
from datacosmos.domain.series import from_datetime, parse_seconds
from datacosmos.errors import InvalidRange
from datacosmos.http.problems import InvalidParameters
from datacosmos.store.mongo.ranges import Window

T = TypeVar("T")
RULE = (
    "ISO 8601 with an offset or Z; seconds may be left out, a fraction has 1 to 9 digits and is cut to the microsecond"
)
"""What the documentation says of a time."""
SECONDS = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def format_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def make_window(start: datetime | None, end: datetime | None) -> Window:
    """Raises InvalidRange when start is after end."""
    window = Window(start, end)
    if window.start is not None and window.end is not None and window.start > window.end:
        raise InvalidRange(f"start ({format_time(window.start)}) is after end ({format_time(window.end)})")
    return window


class Span(NamedTuple):
    """From `start` to `end`, both inclusive, in microseconds since the epoch; each open where None."""

    start: int | None
    end: int | None


# A text that may be left out. Neither null nor an empty default is documented: generated clients would send them.
Given = str | SkipJsonSchema[None]
EDGE = Query(
    min_length=1,
    description=f"Epoch seconds, or {RULE} (a + is written %2B); inclusive; none: open.",
    examples=["1711644934.5", "2024-03-28T16:55:34Z"],
)


async def read_span(
    start: Annotated[Given, EDGE, Query(alias="from")] = None, end: Annotated[Given, EDGE, Query(alias="to")] = None
) -> Span:
    """Raises InvalidParameters with every fault, and InvalidRange when `to` is before `from`."""
    first, last = read_each(parse_microseconds, {"from": start, "to": end})
    if first is not None and last is not None and last < first:
        raise InvalidRange(f"to ({end}) is before from ({start})")
    return Span(first, last)


def read_each(parse: Callable[[str], T], texts: Mapping[str, str | None]) -> list[T | None]:
    """What each parameter holds, None where it is left out. Raises InvalidParameters with every fault."""
    read: list[T | None] = []
    faults: dict[str, str] = {}
    for name, text in texts.items():
        try:
            read.append(parse(text) if text else None)
        except ValueError as error:
            faults[name] = str(error)
    if faults:
        raise InvalidParameters(faults)
    return read


def parse_microseconds(text: str) -> int:
    """Rounded as a pushed time is, so that a point lies within a range that begins or ends with its t."""
    if not SECONDS.fullmatch(text):
        try:
            return from_datetime(parse_time(text))
        except ValueError as error:
            raise ValueError(f"{error}; nor is it epoch seconds") from None
    try:
        return parse_seconds(text)
    except OverflowError:
        raise ValueError(f"{text[:40]!r} lies outside the years 1 to 9999") from None
