"""Work that nobody waits for any more."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive

SOON = 0.02  # seconds: what is done by then is not worth watching over


class UntilClientLeaves:
    """Cancels what goes on inside once the client is gone: ClientDisconnect. The body must have been read before."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._left = False

    def __enter__(self) -> None:
        working = asyncio.current_task()
        assert working is not None  # noqa: S101 - this is a coroutine
        self._working = working
        self._timer = asyncio.get_running_loop().call_later(SOON, self._begin)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if isinstance(error, asyncio.CancelledError) and self._left and self._working.uncancel() == 0:
            raise ClientDisconnect from None

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._working.cancel()
