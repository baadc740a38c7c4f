"""How slowly a client may take an answer that holds what others wait for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import inf

import structlog
from starlette.requests import ClientDisconnect

from datacosmos.bounds import Bound

log = structlog.stdlib.get_logger(__name__)
GRACE, LEAST = 30.0, 64 << 10
"""Seconds, and bytes a second after them."""


class Pace:
    """The slowest of one kind of answer; `name` is its counter's, `what` names one answer in the log."""

    def __init__(self, name: str, what: str) -> None:
        self._what = what
        self._bound = Bound(name, LEAST, "bytes a second of one answer")

    @asynccontextmanager
    async def taking(self, size: int, spent: float = 0, most: float = inf) -> AsyncGenerator[None]:
        """So many bytes, for which seconds were spent before; raises ClientDisconnect where it takes too long."""
        seconds = min(most, GRACE + size / LEAST - spent)
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            self._bound.refusal()
            log.warning(f"{self._what} broken off: its client takes it too slowly", seconds=round(seconds, 1))
            raise ClientDisconnect from None
