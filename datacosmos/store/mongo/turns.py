"""Whose turn it is to ask MongoDB for more of a list."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from contextvars import ContextVar

from datacosmos.bounds import Bound

WAS_LONG = ContextVar("WAS_LONG", default=False)
"""Whether the list of this query that was read before was a long one, or behind one."""
LATE = 0.05
"""Seconds, several times what MongoDB needs for a batch, after which others are no longer kept waiting for one."""


def begin_query() -> None:
    """What the task read before is of no concern to what it reads from here on."""
    WAS_LONG.set(False)


class Turns:
    """One list's: for its first batch among all lists, which are short for all that is known, then among the long ones.

    A turn is held until its batch is worked on, so what is held bounds batches in memory, too. A list goes on, its next
    batch already on its way, until another waits; then it takes its turn behind that for each batch. Of a query whose
    list was long, those behind it are not taken for short ones: they begin among the long ones. One whose batch is
    late, as MongoDB looks for rare points, waits for that among the slow lists while those have room.
    """

    def __init__(self, lists: Bound, long_lists: Bound, slow_lists: Bound) -> None:
        self._lists, self._long_lists, self._slow_lists = lists, long_lists, slow_lists
        self._held: Bound | None = None
        self.is_long = False  # for all that is known

    async def begin(self) -> None:
        """Raises Overloaded, as `next` does."""
        bound = self._lists
        if WAS_LONG.get():
            bound, self.is_long = self._long_lists, True
            WAS_LONG.set(False)  # a list that is read within this one must not wait for its turn
        await bound.acquire()
        self._held = bound

    def may_go_on(self) -> bool:
        """Whether the next batch may be asked for while one is worked on."""
        if self._held is self._lists and self._changes_to(self._long_lists):
            self.is_long = True
        return self._held is self._long_lists and not self._long_lists.is_awaited

    async def next(self) -> None:
        self._let_go()
        self.is_long = True
        await self._long_lists.acquire()
        self._held = self._long_lists

    def make_way(self) -> None:
        """For other long lists, as the batch is late that was asked for."""
        if self._held is self._long_lists:
            self._changes_to(self._slow_lists)

    def end(self) -> None:
        WAS_LONG.set(self.is_long)
        self._let_go()

    def _changes_to(self, bound: Bound) -> bool:
        """Whether that has room."""
        if not bound.has_room:
            return False
        bound.take()
        self._let_go()
        self._held = bound
        return True

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.give_back()


class Freely:
    """In place of the turns of whoever is bounded elsewhere."""

    is_long = False

    async def begin(self) -> None: ...

    def may_go_on(self) -> bool:
        return True

    async def next(self) -> None: ...

    def make_way(self) -> None: ...

    def end(self) -> None: ...


@asynccontextmanager
async def one_of(reads: asyncio.Semaphore, make_way: Callable[[], None]) -> AsyncGenerator[None]:
    """One of the reads that MongoDB works on at once, until it is over; or is late, which makes way."""
    await reads.acquire()
    with ExitStack() as turn:
        turn.callback(reads.release)

        def be_late() -> None:
            turn.close()
            make_way()

        timer = asyncio.get_running_loop().call_later(LATE, be_late)
        try:
            yield
        finally:
            timer.cancel()
