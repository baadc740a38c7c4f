"""Work that nobody waits for any more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

SOON = 0.02  # seconds: what is done by then is not worth watching over


@asynccontextmanager
async def until_client_leaves(request: Request) -> AsyncGenerator[None]:
    """Cancels what goes on inside once the client is gone: ClientDisconnect. The body must have been read before."""
    working = asyncio.current_task()
    assert working is not None  # noqa: S101 - this is a coroutine
    watching: list[asyncio.Task[None]] = []
    left = False

    async def watch() -> None:
        nonlocal left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left = True
        working.cancel()

    timer = asyncio.get_running_loop().call_later(SOON, lambda: watching.append(asyncio.create_task(watch())))
    try:
        yield
    except asyncio.CancelledError:
        if left and working.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        for task in watching:
            task.cancel()
