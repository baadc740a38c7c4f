"""How long to wait before the next try."""

import random
from datetime import timedelta


def backoff(failures: int, *, first: timedelta, most: timedelta) -> float:
    """Seconds: doubled with each failure up to the most, then between half and the whole of that, by chance.

    The chance ("equal jitter") keeps many clients from coming back in step.
    """
    seconds = min(first.total_seconds() * 2 ** min(failures, 30), most.total_seconds())
    return seconds * random.uniform(0.5, 1)  # noqa: S311  no secret hangs on it
