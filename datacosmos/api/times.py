"""Times as clients write and read them: ISO 8601 with an offset in, UTC with Z out."""

import re
from datetime import UTC, datetime

from datacosmos.errors import InvalidRange
from datacosmos.store.points import Window

# All that datetime.fromisoformat reads, but for what ISO 8601 does not know or what names no instant.
SHAPE = re.compile(r"[0-9W-]+T[0-9:]+(?:[.,][0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)")
EXPECTED = "is no ISO 8601 time with an offset or Z, like 2024-03-28T16:55:34Z or 2024-03-28T17:55:34+01:00"


def parse_time(text: str) -> datetime:
    """The instant in UTC. Raises ValueError with a sentence for whoever wrote the text."""
    shown = repr(text if len(text) <= 40 else text[:40] + "…")
    if not SHAPE.fullmatch(text):
        raise ValueError(f"{shown} {EXPECTED}")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{shown} lies outside the years 1 to 9999") from None
    except ValueError as error:
        raise ValueError(f"{shown} {EXPECTED}: {error}") from None


def format_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def make_window(start: datetime | None, end: datetime | None) -> Window:
    """Raises InvalidRange when start is after end."""
    if start is not None and end is not None and start > end:
        raise InvalidRange(f"start ({format_time(start)}) is after end ({format_time(end)})")
    return Window(start, end)
