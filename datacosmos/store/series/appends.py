"""Appends, committed as a group: whatever waits for the same series goes into one commit."""

from collections.abc import Sequence

import uuid_utils

from datacosmos.bounds import Bound
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.group_commit import GroupCommit, Limits
from datacosmos.store.series.chunks import Chunks
from datacosmos.store.series.commits import Appended, Commit, Points

# Points, and series; of commits at once, more would only be smaller.
GROUP = Limits(100_000, keys=10_000, at_once=4)
MOST_IN_HAND = 4_000_000
"""Points of all appends; of a longer one no more than a group's count, as uploads are bounded where they are parsed."""


class Appends:
    """The appends of one process."""

    def __init__(self, database: Database, chunks: Chunks) -> None:
        self._database, self._chunks = database, chunks
        self._writer = uuid_utils.uuid4().hex
        self._groups = GroupCommit(self._commit, Bound("appends", MOST_IN_HAND, "points to append"), GROUP)

    async def append(self, points: Points) -> Appended:
        """Raises SeriesGone, and Overloaded."""
        size, keys = sum(map(len, points.values())), frozenset(target.key for target in points)
        return await self._groups.write(points, size, keys)

    async def _commit(self, group: Sequence[Points]) -> list[Appended | Exception]:
        return await Commit(self._database, self._chunks, self._writer, group).run()
