"""Whose turn it is to ask MongoDB for more of a list."""

from datacosmos.bounds import Bound


class Turns:
    """One list's: for its first batch among all lists, which are short for all that is known, then among the long ones.

    A turn is held until its batch is worked on, so what is held bounds batches in memory, too. A list goes on, its next
    batch already on its way, until another waits; then it takes its turn behind that for each batch.
    """

    def __init__(self, lists: Bound, long_lists: Bound) -> None:
        self._lists, self._long_lists = lists, long_lists
        self._held: Bound | None = None

    async def begin(self) -> None:
        """Raises Overloaded, as `next` does."""
        await self._lists.acquire()
        self._held = self._lists

    def may_go_on(self) -> bool:
        """Whether the next batch may be asked for while one is worked on."""
        if self._held is self._lists and self._long_lists.has_room:
            self._long_lists.take()
            self.end()
            self._held = self._long_lists
        return self._held is self._long_lists and not self._long_lists.is_awaited

    async def next(self) -> None:
        self.end()
        await self._long_lists.acquire()
        self._held = self._long_lists

    def end(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.give_back()


class Freely:
    """In place of the turns of whoever is bounded elsewhere."""

    async def begin(self) -> None: ...

    def may_go_on(self) -> bool:
        return True

    async def next(self) -> None: ...

    def end(self) -> None: ...
