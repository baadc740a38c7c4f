"""How what fails for the moment is tried again: which pauses lie between, and for how long."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that begin with `first` and double up to `most`; what still fails after `patience` is given up.

    Chance makes each between half and the whole of that ("equal jitter"), which keeps many clients from coming back in
    step.
    """

    first: timedelta
    most: timedelta
    patience: timedelta = timedelta.max

    def seconds(self, failures: int) -> float:
        """The pause after a failure that so many came before."""
        doubled = self.first.total_seconds() * 2 ** min(failures, 30)
        return min(doubled, self.most.total_seconds()) * random.uniform(0.5, 1)  # noqa: S311  no secret hangs on it

    async def pause(self, failures: int, stopping: asyncio.Event | None = None) -> None:
        """Wait for that long, or until we are to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds(failures)):
                await (stopping or asyncio.Event()).wait()


async def retry(
    attempt: Callable[[], Awaitable[T]],
    backoff: Backoff,
    *,
    on: type[E],
    failed: Callable[[E, int], None],
    stopping: asyncio.Event | None = None,
) -> T:
    """The result of the first attempt that does not fail `on` such an error.

    `failed` is told of each failure that a pause follows, and how many came before it. Raises the last error once
    patience is over or we are to stop, and any other error at once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + backoff.patience.total_seconds()
    failures = 0
    while True:
        try:
            return await attempt()
        except on as error:
            if loop.time() > deadline:
                raise
            failed(error, failures)
            await backoff.pause(failures, stopping)
            if stopping is not None and stopping.is_set():
                raise
        failures += 1
