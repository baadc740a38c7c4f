"""Long work on the event loop, cut into slices of which each round of the loop has one, whoever they belong to.

With `asyncio.sleep(0)` each of them would work in every round, and whatever is short wait for all, several times. While
a request has come of which it isn't known yet that it is long, the others pause for it, but keep a third of the time;
and the less, the more of such requests turned out to be long lately.
"""

import asyncio
from collections import deque
from contextvars import ContextVar
from weakref import finalize

SLICE = 0.001
"""Seconds of work, about, that a slice should take."""
PAUSE, HASTE = 3 * SLICE, 0.03
"""Seconds from one slice to the next, at the most, while a request is in haste, and for which it may be."""
LATELY = 16
"""Requests, about, by which it is known how many are short."""


class _Slices:
    """Those of one event loop that wait, in order, and the requests in haste, by when they came.

    It must not know its loop, which it would keep alive.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._hasty: dict[object, float] = {}
        self._last = 0.0
        self._short = 1.0  # the share of the requests that had no slice
        self._timer: asyncio.TimerHandle | None = None

    def hurry(self, mark: object) -> None:
        self._hasty[mark] = asyncio.get_running_loop().time()

    def calm(self, mark: object, *, is_short: bool) -> None:
        if self._hasty.pop(mark, None) is not None:
            self._short += (is_short - self._short) / LATELY
        if self._timer is not None and not self._hasty:
            self._timer.cancel()
            self._timer = None
            asyncio.get_running_loop().call_soon(self._wake)

    def wait(self) -> asyncio.Future[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._wake)
        return turn

    def _wake(self) -> None:
        """The first of them goes on in the next round, in which the one after it is woken."""
        self._timer = None
        while self._waiting and self._waiting[0].done():  # or whoever waited has left
            self._waiting.popleft()
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._is_in_haste(now) and now < (end := self._last + PAUSE * self._short):
            self._timer = loop.call_at(end, self._wake)
            return
        self._last = now
        self._waiting[0].set_result(None)
        loop.call_soon(self._wake)

    def _is_in_haste(self, now: float) -> bool:
        while self._hasty and self._hasty[first := next(iter(self._hasty))] < now - HASTE:
            del self._hasty[first]
        return bool(self._hasty)


_OF_LOOPS: dict[int, _Slices] = {}
_MARK = ContextVar[object]("mark", default=None)


def _of_loop() -> _Slices:
    loop = asyncio.get_running_loop()
    return _OF_LOOPS.get(id(loop)) or _begin(loop)


def _begin(loop: asyncio.AbstractEventLoop) -> _Slices:
    """By a number, found in a quarter of the time of a weak reference, which means another loop only after this one."""
    finalize(loop, _OF_LOOPS.pop, id(loop))
    return _OF_LOOPS.setdefault(id(loop), _Slices())


class InHaste:
    """Whoever works in slices pauses for what is done in this block, until that waits for a slice itself."""

    __slots__ = ("_slices",)

    def __enter__(self) -> None:
        self._slices = _of_loop()
        self._slices.hurry(self)
        _MARK.set(self)

    def __exit__(self, *_: object) -> None:
        self._slices.calm(self, is_short=True)


async def next_slice() -> None:
    """Returns once it is the caller's turn to work, until it awaits something that is not there yet."""
    slices = _of_loop()
    slices.calm(_MARK.get(), is_short=False)
    await slices.wait()
