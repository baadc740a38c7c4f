"""Marks: places in MongoDB's order of commits, as texts of which a later one is greater.

A mark is the text of a resume token. It begins with a type, 82, and the time of the commit, as seconds and a number
within the second, in hexadecimal; what follows tells apart what was committed together. So a time alone is a mark too,
just before all that was committed at that time. MongoDB is never asked to resume by a token, as it refuses one that
another filter would leave out: it is asked for what was committed at the time or later, and what is not greater than
the mark is skipped.
"""

import re

from bson import Timestamp

MARK = re.compile(r"82([0-9A-F]{8})([0-9A-F]{8})[0-9A-F]*")


def mark_before(time: Timestamp) -> str:
    """Before whatever was committed at this time."""
    return f"82{time.time:08X}{time.inc:08X}"


def mark_after(time: Timestamp) -> str:
    return mark_before(Timestamp(time.time, time.inc + 1))


def time_of(mark: str) -> Timestamp:
    """Raises ValueError for what is no mark."""
    match = MARK.fullmatch(mark)
    if match is None:
        raise ValueError("a resume token of MongoDB does not begin as it is known to")
    return Timestamp(int(match[1], 16), int(match[2], 16))


def seconds_between(earlier: str, later: str) -> int:
    return time_of(later).time - time_of(earlier).time
