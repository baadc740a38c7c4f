"""What a process may hold at once of each kind, and whoever waits for it or is refused.

A bound says in the log when it begins to refuse and when that has ended; /metrics tells how much is held and refused.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import structlog

from datacosmos.errors import Overloaded
from datacosmos.observability import HELD, REFUSED

log = structlog.stdlib.get_logger(__name__)
QUIET = 10.0  # seconds without a refusal after which a bound no longer bites
TELL = 0.2  # seconds after which /metrics tells what is held


class Bound:
    """At most so much of one kind at once, over all callers; `what` names it in the plural, as errors do.

    What asks for more than the whole gets the whole, once nothing else is held. A bound belongs to one event loop.
    """

    def __init__(
        self, name: str, most: int, what: str, *, waiting: int = 0, patience: timedelta = timedelta(seconds=10)
    ) -> None:
        self.most = most
        self.held = 0
        self._name, self._what = name, what
        self._waiting, self._patience = waiting, patience.total_seconds()
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._held, self._refused = HELD.labels(name), REFUSED.labels(name)
        self._refusals = self._told = 0
        self._will_tell = False
        self._end: asyncio.TimerHandle | None = None

    def take(self, amount: int = 1) -> int:
        """At once; what was taken is to be given back. Raises Overloaded."""
        taken = min(amount, self.most)
        if self._queue or not self._fits(taken):
            raise self.refusal()
        self._grant(taken)
        return taken

    def give_back(self, amount: int = 1) -> None:
        self._grant(-amount)
        while self._queue and self._fits(self._queue[0][0]):
            wanted, turn = self._queue.popleft()
            self._grant(wanted)
            turn.set_result(None)

    @contextmanager
    def holding(self, amount: int = 1) -> Generator[None]:
        """At once. Raises Overloaded."""
        taken = self.take(amount)
        try:
            yield
        finally:
            self.give_back(taken)

    @asynccontextmanager
    async def turn(self, amount: int = 1) -> AsyncGenerator[None]:
        """In the order of asking. Raises Overloaded where too many wait already, or where it takes too long."""
        taken = await self.acquire(amount)
        try:
            yield
        finally:
            self.give_back(taken)

    async def acquire(self, amount: int = 1, *, deadline: float | None = None) -> int:
        """The same for what is given back elsewhere; by a deadline, in the event loop's time, where there is one."""
        wanted = min(amount, self.most)
        if self._queue or not self._fits(wanted):
            await self._wait(wanted, deadline)
        else:
            self._grant(wanted)
        return wanted

    @property
    def has_room(self) -> bool:
        """Whether one more is granted at once."""
        return not self._queue and self._fits(1)

    @property
    def is_awaited(self) -> bool:
        return bool(self._queue)

    def refusal(self) -> Overloaded:
        """What to raise, or to say, where something is refused; it is counted, and logged where it is the first."""
        self._refused.inc()
        self._refusals += 1
        if self._end is None:
            log.warning("bound reached", bound=self._name, most=self.most)
        else:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(QUIET, self._note_end)
        return Overloaded(f"the service has as many {self._what} in hand as it may, {self.most}")

    async def _wait(self, wanted: int, deadline: float | None) -> None:
        if len(self._queue) >= self._waiting:
            raise self.refusal()
        loop = asyncio.get_running_loop()
        place = wanted, loop.create_future()
        self._queue.append(place)
        try:
            async with asyncio.timeout_at(loop.time() + self._patience if deadline is None else deadline):
                await asyncio.shield(place[1])
        except BaseException as error:
            if place in self._queue:
                self._queue.remove(place)
                wanted = 0
            self.give_back(wanted)  # either its turn, which came too late, or way for those behind it
            if isinstance(error, TimeoutError):
                raise self.refusal() from None
            raise

    def _fits(self, amount: int) -> bool:
        return self.held + amount <= self.most

    def _grant(self, amount: int) -> None:
        self.held += amount
        if not self._will_tell:
            self._will_tell = True
            asyncio.get_running_loop().call_later(TELL, self._tell)

    def _tell(self) -> None:
        """Not at each grant, as that would cost more than the grant itself."""
        self._will_tell = False
        self._held.inc(self.held - self._told)  # others may have this bound's name
        self._told = self.held

    def _note_end(self) -> None:
        log.info("bound no longer reached", bound=self._name, refused=self._refusals)
        self._end, self._refusals = None, 0
