"""The newest answers, each calculated once however many ask for it at the same time."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """At most `size` answers, of which the one unused for longest goes first; failures are not kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[Hashable, asyncio.Task[T]] = OrderedDict()

    async def get(self, key: Hashable, calculate: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer kept under the key, or else one that is calculated, whichever of its callers is cancelled."""
        task = self._answers.get(key)
        if task is None:
            task = self._answers[key] = asyncio.create_task(calculate())
            task.add_done_callback(lambda task: self._forget_failed(key, task))
        self._answers.move_to_end(key)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)
        return await asyncio.shield(task)

    def _forget_failed(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._answers.get(key) is task:
            del self._answers[key]
