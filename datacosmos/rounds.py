"""Equal questions that are asked at the same time are one, whoever waits for the answer."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Rounds(Generic[T]):
    """Of equal questions one is under way, and all that are asked meanwhile are one after it.

    So each is answered as things stood when it was asked, or later; and whichever of its callers leaves, the others
    are answered. Once all have left, it is cancelled. They belong to one event loop.

    A `lasting` error answers all who wait when it comes: the next round would only wait for it as long.
    """

    def __init__(self, lasting: type[Exception] | tuple[()] = ()) -> None:
        self._lasting = lasting
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}
        self._callers = Counter[asyncio.Task[T]]()

    async def get(self, key: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What a question's first caller gets, or raises, is for all of its round."""
        task = self._next.get(key)
        if task is None:
            before = self._under_way.get(key)
            if before is not None and before.done():  # it was asked before, and so is no answer to this
                before = None
            task = asyncio.create_task(ask() if before is None else self._after(before, key, ask))
            (self._under_way if before is None else self._next)[key] = task
            task.add_done_callback(lambda ended: self._forget(key, ended))
        self._callers[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._callers[task] -= 1
            if not self._callers[task]:
                del self._callers[task]
                self._forget(key, task)  # whoever asks while it is being cancelled gets another
                task.cancel()

    async def _after(self, before: asyncio.Task[T], key: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await asyncio.wait([before])
        self._under_way[key] = self._next.pop(key)
        if not before.cancelled() and isinstance(error := before.exception(), self._lasting):
            raise error
        return await ask()

    def _forget(self, key: Hashable, ended: asyncio.Task[T]) -> None:
        for tasks in (self._under_way, self._next):
            if tasks.get(key) is ended:
                del tasks[key]
        if ended.done() and not ended.cancelled():
            ended.exception()  # which nobody else asks for where all callers have left
