"""How many discards each reason has, by time: counts, which merge like the parts of `domain.summaries`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain.points import Reason

Counts = NDArray[np.void]
# How many of the primary reason `reason` were received at `at`, or in the minute or hour that begins then.
COUNT = np.dtype([("at", "<i8"), ("n", "<i8"), ("reason", "S16")])
NO_COUNTS = np.empty(0, COUNT)


def gathered(counts: Counts, at: NDArray[np.int64]) -> Counts:
    """One for all of a reason that have the same `at`, in order of that, then of the reason."""
    if not len(counts):
        return NO_COUNTS
    order = np.lexsort((counts["reason"], at))
    at, reason = at[order], counts["reason"][order]
    begins = np.flatnonzero(np.append(True, (at[1:] != at[:-1]) | (reason[1:] != reason[:-1])))
    found = np.empty(len(begins), COUNT)
    found["at"], found["reason"] = at[begins], reason[begins]
    found["n"] = np.add.reduceat(counts["n"][order], begins)
    return found


def by_bucket(counts: Counts, edges: NDArray[np.int64]) -> Counts:
    """The same with `at` the number of the bucket between two edges that each lies in."""
    return gathered(counts, np.searchsorted(edges, counts["at"], "right") - 1)


def by_reason(counts: Counts) -> dict[Reason, int]:
    """In order of precedence; reasons that none was discarded for are left out."""
    found: dict[str, int] = {}
    for count in counts:
        name = _name(count)
        found[name] = found.get(name, 0) + int(count["n"])
    return {reason: found[reason.value] for reason in Reason if reason.value in found}


def _name(count: Any) -> str:
    return count["reason"].decode()
