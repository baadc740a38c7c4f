"""Work that nobody waits for any more."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

LEAVING = "leaving"
"""Where a request's state has its Leaving, if the server tells of it."""


class Leaving:
    """Cancels what goes on inside once the client is gone: ClientDisconnect.

    `listen` has the server read on, which it may have ceased to after a long body, or else it would not hear of that.
    None of this may know the request, which would then be garbage of the kind that has to be looked for.
    """

    __slots__ = ("_is_over", "_listen", "_working")

    def __init__(self, listen: Callable[[], None]) -> None:
        self._listen = listen
        self._working: asyncio.Task[object] | None = None
        self._is_over = False

    def end(self) -> None:
        """For the server to call, once the client is gone."""
        if self._working is not None and not self._is_over:
            self._working.cancel()
        self._is_over = True

    def __enter__(self) -> None:
        if self._is_over:
            raise ClientDisconnect
        self._working = asyncio.current_task()
        self._listen()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        working, self._working = self._working, None
        if working is None or not self._is_over:
            return
        if working.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            raise ClientDisconnect from None


class _Watching(Leaving):
    """The same beside a server that doesn't tell."""

    __slots__ = ("_receive", "_watching")

    def __init__(self, receive: Receive) -> None:
        super().__init__(lambda: None)
        self._receive = receive

    def __enter__(self) -> None:
        super().__enter__()
        self._watching = asyncio.create_task(self._watch())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._watching.cancel()
        super().__exit__(kind, error, _)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end()


def until_client_leaves(scope: Scope, receive: Receive) -> Leaving:
    """For what goes on once the body has been read."""
    leaving: Leaving | None = scope["state"].get(LEAVING)
    return _Watching(receive) if leaving is None else leaving
