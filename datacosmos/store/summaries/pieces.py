"""What an answer is put together from: whole hours, whole minutes, and the points of what is left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain.summaries import HOUR, MINUTE

Times = NDArray[np.int64]
MOST_RUNS = 10_000
"""Of points, for one answer; where more minutes apart are to be read, those between some of them are too."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Of [start, end], in microseconds since the epoch.

    `runs` are where the points themselves are read: shape (n, 2), first and last microsecond, ascending and apart.
    `hours` is when the hours begin whose minutes are read, ascending. All else is read as whole hours.
    """

    start: int
    end: int
    runs: Times
    hours: Times
    has_whole_hours: bool

    @classmethod
    def of(cls, edges: Times, start: int, end: int, behind: Times | None) -> "Pieces":
        """`behind` are the minutes, numbered from the epoch, that no summary is to be asked for; None: all of them."""
        if behind is None:
            return cls(start, end, np.array([[start, end]]), np.empty(0, np.int64), has_whole_hours=False)
        cuts = np.concatenate([[start, end + 1], edges[(edges > start) & (edges <= end)]])
        minutes = np.concatenate([behind, cuts[cuts % MINUTE != 0] // MINUTE])
        runs = _runs(np.unique(minutes[(minutes >= start // MINUTE) & (minutes <= end // MINUTE)]))
        inside = np.concatenate([cuts[cuts % HOUR != 0], runs[:, 0], runs[:, 1]]) // HOUR
        hours = np.unique(inside[(inside >= start // HOUR) & (inside <= end // HOUR)]) * HOUR
        has_whole_hours = len(hours) < end // HOUR - start // HOUR + 1
        return cls(start, end, np.clip(runs, start, end), hours, has_whole_hours)

    def are_hours(self, at: Times) -> NDArray[np.bool_]:
        """Which of the hours that begin then count as a whole."""
        return self._are_whole(at, HOUR) & ~np.isin(at, self.hours)

    def are_minutes(self, at: Times) -> NDArray[np.bool_]:
        """Which of the minutes of `hours`."""
        return self._are_whole(at, MINUTE)

    def _are_whole(self, at: Times, size: int) -> NDArray[np.bool_]:
        """Inside the range, and without a point that is read itself."""
        next_run = np.searchsorted(self.runs[:, 1], at)
        begins = np.append(self.runs[:, 0], np.iinfo(np.int64).max)[next_run]
        return (at >= self.start) & (at + size <= self.end + 1) & (begins >= at + size)


def _runs(minutes: Times) -> Times:
    """Ascending minutes as at most MOST_RUNS runs, which have those between them too where they are many."""
    if not len(minutes):
        return np.empty((0, 2), np.int64)
    gaps = np.diff(minutes)
    apart = np.flatnonzero(gaps > 1)
    if len(apart) >= MOST_RUNS:
        apart = np.sort(apart[np.argsort(gaps[apart])[1 - MOST_RUNS :]])
    first, last = minutes[np.append(0, apart + 1)], minutes[np.append(apart, len(minutes) - 1)]
    return np.stack([first * MINUTE, (last + 1) * MINUTE - 1], axis=1)
