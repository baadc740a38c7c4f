"""Group commit: whatever waits is written together, which costs little more than writing one of them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from datacosmos.bounds import Bound
from datacosmos.errors import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")


class Limits(NamedTuple):
    """Of one group, which holds more only where a single write does; and how many groups are written at once."""

    size: int
    keys: int = 0
    at_once: int = 1


@dataclass(slots=True, eq=False)
class Waiting(Generic[T, R]):
    """A write, what it touches, and what will become of it."""

    write: T
    size: int
    keys: frozenset[Hashable]
    outcome: asyncio.Future[R]


class GroupCommit(Generic[T, R]):
    """The writes of one kind in one process. `commit` gives the outcome of each write of a group, in its order.

    Groups that are written at once share no key; of two writes with a key in common the earlier goes first.
    """

    def __init__(
        self, commit: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]], in_hand: Bound, limits: Limits
    ) -> None:
        self._commit, self._in_hand, self._limits = commit, in_hand, limits
        self._waiting: deque[Waiting[T, R]] = deque()
        self._busy: set[Hashable] = set()
        self._groups: set[asyncio.Task[None]] = set()

    async def write(self, write: T, size: int = 1, keys: frozenset[Hashable] = frozenset()) -> R:
        """The outcome, once the write is stored. Raises what `commit` gives or raises for it, and Overloaded."""
        waiting = Waiting(write, size, keys, asyncio.get_running_loop().create_future())
        with self._in_hand.holding(min(size, self._limits.size)):
            self._waiting.append(waiting)
            if self._busy.isdisjoint(keys):
                asyncio.get_running_loop().call_soon(self._start)  # with whatever else is asked for in this turn
            return await waiting.outcome

    def _start(self) -> None:
        while len(self._groups) < self._limits.at_once and (group := self._next_group()):
            self._busy.update(*(each.keys for each in group))
            self._groups.add(asyncio.create_task(self._run(group)))

    def _next_group(self) -> list[Waiting[T, R]]:
        """The first that fit, and that no group under way and no earlier write stands in the way of."""
        group, passed, taken = list[Waiting[T, R]](), deque[Waiting[T, R]](), set(self._busy)
        size = keys = 0
        while self._waiting and size < self._limits.size:
            each = self._waiting.popleft()
            if each.outcome.cancelled():
                continue
            fits = size + each.size <= self._limits.size and keys + len(each.keys) <= self._limits.keys
            if taken.isdisjoint(each.keys) and (fits or not group):
                group.append(each)
                size += each.size
                keys += len(each.keys)
            else:
                passed.append(each)
                taken |= each.keys
        self._waiting.extendleft(reversed(passed))
        return group

    async def _run(self, group: Sequence[Waiting[T, R]]) -> None:
        try:
            await self._settle(group)
        finally:
            for each in group:
                self._busy -= each.keys
            self._groups = {task for task in self._groups if task is not asyncio.current_task()}
            self._start()

    async def _settle(self, group: Sequence[Waiting[T, R]]) -> None:
        """Give each its outcome; one that can't be stored doesn't take the others with it."""
        try:
            outcomes = await self._commit([each.write for each in group])
        except StoreUnavailable as error:
            outcomes = [error] * len(group)
        except Exception as error:  # noqa: BLE001 - each caller gets it
            if len(group) > 1:
                for each in group:
                    await self._settle([each])
                return
            outcomes = [error]
        for each, outcome in zip(group, outcomes, strict=True):
            _give(each.outcome, outcome)


def _give(future: asyncio.Future[R], outcome: R | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
