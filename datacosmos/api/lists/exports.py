"""Answers of any length, read from the store as fast as their clients take them."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from datacosmos.bounds import Bound
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.pace import Pace

SLOWEST = 30.0  # seconds in which a client takes a block, of 100 to 500 KB: longer, and others would wait for nothing


class Exports:
    """So many at once, over all clients; the others wait for their turn, and are refused where it takes too long."""

    def __init__(self, most: int) -> None:
        self.pace = Pace("slow_exports", "export")
        self._bound = Bound("exports", most, "exports", waiting=2 * most)

    @asynccontextmanager
    async def begin(self, request: Request) -> AsyncGenerator[Callable[[], None]]:
        """Its turn, until what is given is called, or what goes on inside fails. Raises Overloaded."""
        with until_client_leaves(request.scope, request.receive):
            taken = await self._bound.acquire()
            try:
                yield lambda: self._bound.give_back(taken)
            except BaseException:
                self._bound.give_back(taken)
                raise


class Export(StreamingResponse):
    """Ends its turn however it ends; it is broken off where its client hardly takes it."""

    def __init__(
        self,
        body: AsyncGenerator[bytes],
        end: Callable[[], None],
        pace: Pace,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body, self._end, self._pace = body, end, pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, spent = 0, 0.0  # in sending alone: that the store is slow is no fault of the client

        async def send_soon(message: Message) -> None:
            nonlocal size, spent
            size, begin = size + len(message.get("body", b"")), monotonic()
            async with self._pace.taking(size, spent, SLOWEST):
                await send(message)
            spent += monotonic() - begin

        try:
            await super().__call__(scope, receive, send_soon)
        finally:
            self._end()
            await self._body.aclose()
