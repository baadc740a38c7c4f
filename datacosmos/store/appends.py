"""Appends, committed as a group: whatever waits for the same series goes into one commit."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import uuid_utils

from datacosmos.errors import StoreUnavailable
from datacosmos.store.chunks import Chunks
from datacosmos.store.commits import Appended, Commit, Key, Points
from datacosmos.store.connection import Database

COMMITS = 4  # at once: more would only be smaller
# Of one group, more only where one append has more.
MOST_POINTS = 100_000
MOST_KEYS = 10_000


@dataclass(eq=False)
class Append:
    """A request, and what will become of it."""

    points: Points
    outcome: asyncio.Future[Appended]
    keys: frozenset[Key] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.keys = frozenset(target.key for target in self.points)
        self.size = sum(map(len, self.points.values()))


class Appends:
    """The appends of one process."""

    def __init__(self, database: Database, chunks: Chunks) -> None:
        self._database, self._chunks = database, chunks
        self._writer = uuid_utils.uuid4().hex
        self._waiting: deque[Append] = deque()
        self._busy: set[Key] = set()
        self._commits: set[asyncio.Task[None]] = set()

    async def append(self, points: Points) -> Appended:
        append = Append(points, asyncio.get_running_loop().create_future())
        self._waiting.append(append)
        if self._busy.isdisjoint(append.keys):
            self._start()
        return await append.outcome

    def _start(self) -> None:
        while len(self._commits) < COMMITS and (group := self._next_group()):
            self._busy.update(*(append.keys for append in group))
            self._commits.add(asyncio.create_task(self._run(group)))

    def _next_group(self) -> list[Append]:
        """What waits for no other commit; of two appends to one series the earlier goes first."""
        group, waiting, taken = list[Append](), deque[Append](), set(self._busy)
        points = keys = 0
        for append in self._waiting:
            if append.outcome.cancelled():
                continue
            fits = points + append.size <= MOST_POINTS and keys + len(append.keys) <= MOST_KEYS
            if taken.isdisjoint(append.keys) and (fits or not group):
                group.append(append)
                points += append.size
                keys += len(append.keys)
            else:
                waiting.append(append)
                taken |= append.keys
        self._waiting = waiting
        return group

    async def _run(self, group: Sequence[Append]) -> None:
        try:
            await self._settle(group)
        finally:
            for append in group:
                self._busy -= append.keys
            self._commits = {task for task in self._commits if task is not asyncio.current_task()}
            self._start()

    async def _settle(self, group: Sequence[Append]) -> None:
        """Give each append its outcome; one that can't be stored doesn't take the others with it."""
        commit = Commit(self._database, self._chunks, self._writer, [append.points for append in group])
        try:
            outcomes = await commit.run()
        except StoreUnavailable as error:
            outcomes = [error] * len(group)
        except Exception as error:  # noqa: BLE001 - each caller gets it
            if len(group) > 1:
                for append in group:
                    await self._settle([append])
                return
            outcomes = [error]
        for append, outcome in zip(group, outcomes, strict=True):
            if not append.outcome.done():
                _give(append.outcome, outcome)


def _give(future: asyncio.Future[Appended], outcome: Appended | Exception) -> None:
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
