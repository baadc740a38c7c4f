"""Instants as people and their programs write them: one rule for all that is taken in or asked for.

RFC 3339 and the rest of ISO 8601, as the clients of Python, Go, Java and JavaScript write it: seconds may be left out,
a fraction has one to nine digits and is cut to the microsecond, t and z may be small, and a blank may stand for the T.
An offset may have seconds, as local mean times had; a zone in brackets behind it, [Europe/Paris], is passed over.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from datacosmos.domain.series import EARLIEST, EPOCH, LATEST

# Less than datetime.fromisoformat reads: that takes half a minute, 15:00.5, for half a second.
DAY = "[0-9]{4}(?:-[0-9]{2}-[0-9]{2}|[0-9]{4}|-?W[0-9]{2}(?:-?[0-9])?)"
HOUR, SIXTIETH = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
LOCAL = f"{DAY}[Tt ]{HOUR}(?::?{SIXTIETH}(?::?{SIXTIETH}(?:[.,][0-9]{{1,9}})?)?)?"
ZONE = r"\[[A-Za-z][A-Za-z0-9_+:/-]{0,63}\]"
OFFSET = f"(?:[Zz]|[+-]{HOUR}(?::?{SIXTIETH}(?::?{SIXTIETH})?)?)(?:{ZONE})?"
# What most programs write, told sooner.
USUAL = re.compile(f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{HOUR}:{SIXTIETH}:{SIXTIETH}(?:\\.[0-9]{{1,9}})?Z")
SHAPE = re.compile(f"{LOCAL}({OFFSET})?", re.ASCII)
LINES = re.compile(f"(?:{LOCAL}{OFFSET}\n)*+", re.ASCII)
EXPECTED = "is no ISO 8601 time with an offset or Z, like 2024-03-28T16:55:34Z or 2024-03-28T17:55:34+01:00"
LEAP_SECOND = re.compile(f"[Tt ]{HOUR}:?{SIXTIETH}:?60")


def parse_time(text: str) -> datetime:
    """The instant in UTC, cut to the microsecond. Raises ValueError with a sentence for whoever wrote the text."""
    try:
        if USUAL.fullmatch(text):
            return datetime.fromisoformat(text)
        moment = parse_as_sent(text)
        if moment is not None and moment.tzinfo is not None:
            return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{_shown(text)} lies outside the years 1 to 9999") from None
    except ValueError as error:
        raise ValueError(f"{_shown(text)} {EXPECTED}: {error}") from None
    why = ": its second is 60, but a leap second has no instant of its own here" if LEAP_SECOND.search(text) else ""
    raise ValueError(f"{_shown(text)} {EXPECTED}{why}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def parse_as_sent(text: str) -> datetime | None:
    """With the offset that it has, if any; None for another shape. Raises ValueError where there is no such time."""
    return datetime.fromisoformat(text.partition("[")[0].upper()) if SHAPE.fullmatch(text) else None


def parse_times(texts: Sequence[str]) -> list[int]:
    """What `parse_time` makes of many, in microseconds since the epoch. Raises ValueError, without a sentence."""
    lines = "\n".join([*texts, ""])
    if not LINES.fullmatch(lines):
        raise ValueError(EXPECTED)
    if "[" in lines:
        texts = [text.partition("[")[0] for text in texts]
    since = [datetime.fromisoformat(text.upper()) - EPOCH for text in texts]
    times = [(time.days * 86_400 + time.seconds) * 1_000_000 + time.microseconds for time in since]
    if times and not EARLIEST <= min(times) <= max(times) <= LATEST:
        raise ValueError("outside the years 1 to 9999")
    return times
