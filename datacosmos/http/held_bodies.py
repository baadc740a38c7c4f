"""What a process holds of the bodies of all its requests.

A body of known length is let in before any of it is read; another is counted as it comes. Small ones are never refused:
room for one of each connection is set apart, so that large ones that fill the rest hold up no small push. Where a large
one finds no room, those of which nothing has come for a second make way.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datacosmos.bounds import Bound
from datacosmos.errors import Overloaded
from datacosmos.settings import Settings

SMALL = 1 << 16  # bytes
STALLED = 1.0  # seconds in which nothing came


class HeldBodies:
    """Stands before a whole application, so that no route can forget it; what `receive` raises, the routes answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        apart = min(SMALL * settings.max_connections, settings.bodies_max_bytes // 4)
        self.all = Bound("bodies", settings.bodies_max_bytes - apart, "bytes of request bodies")
        self.large: dict[HeldBody, None] = {}  # first whose request came first

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        length = _length(scope)
        if length is None or length > SMALL:
            return self._hold(HeldBody(receive, length, self), scope, send)
        return self._app(scope, receive, send)

    async def _hold(self, body: "HeldBody", scope: Scope, send: Send) -> None:
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.let_go()

    def take(self, size: int) -> int:
        """Those that have stopped coming make way, where that is enough. Raises Overloaded."""
        missing = self.all.held + min(size, self.all.most) - self.all.most
        stalled = [body for body in self.large if missing > 0 and body.is_stalled]
        if sum(body.held for body in stalled) >= missing:
            for body in stalled:
                if missing > 0:
                    missing -= body.held
                    body.make_way()
        return self.all.take(size)


class HeldBody:
    """The body of one request; `length` is None where the request doesn't say."""

    held = 0
    _size: int = 0
    _whole = False
    _waiting: tuple[asyncio.Task[Any], float] | None = None  # for more of it, and since when
    _refusal: Overloaded | None = None

    def __init__(self, receive: Receive, length: int | None, bodies: HeldBodies) -> None:
        self._receive, self._length, self._bodies = receive, length, bodies

    async def receive(self) -> Message:
        """Raises Overloaded, but not once all of it is there: then the client's leave is awaited."""
        if self._whole:
            return await self._receive()
        if self._size == 0 and self._length is not None:
            self._grow(self._length)
        message = await (self._receive_unless_it_makes_way() if self.held else self._receive())
        if self._length is None:
            self._grow(len(message.get("body", b"")))
        self._whole = not message.get("more_body", False)
        return message

    async def _receive_unless_it_makes_way(self) -> Message:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._waiting = task, asyncio.get_running_loop().time()
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if self._refusal is not None and task.uncancel() == 0:
                raise self._refusal from None
            raise
        finally:
            self._waiting = None

    @property
    def is_stalled(self) -> bool:
        return self._waiting is not None and asyncio.get_running_loop().time() - self._waiting[1] > STALLED

    def make_way(self) -> None:
        """For another body: what this one held is free at once, and its request refused."""
        if self._waiting is not None:
            self._refusal = self._bodies.all.refusal()
            self._waiting[0].cancel()
            self._waiting = None
            self.let_go()

    def let_go(self) -> None:
        if self.held:
            del self._bodies.large[self]
            self._bodies.all.give_back(self.held)
            self.held = 0

    def _grow(self, size: int) -> None:
        size += self._size
        if size > SMALL:
            self.held += self._bodies.take(size - self.held)
            self._bodies.large[self] = None
        self._size = size


def _length(scope: Scope) -> int | None:
    if scope["type"] != "http":
        return 0
    named = dict(scope["headers"])
    return None if b"transfer-encoding" in named else int(named.get(b"content-length", 0))
