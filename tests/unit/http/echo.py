"""A small application behind the service's own server, for what holds of every application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from datacosmos.observability import exposition
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from tests.lines import Line, line_to


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """What came, but for what the path says should be left unread."""
    request = Request(scope, receive)
    body = b"" if request.url.path == "/unread" else await request.body()
    if request.url.path == "/long":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
        return
    answer = {
        "method": request.method,
        "path": request.url.path,
        "body": body.decode(),
        "names": request.headers.keys(),
    }
    await JSONResponse(answer)(scope, receive, send)


def settings_of(**changes: Any) -> Settings:
    return Settings.model_validate({"_env_file": None} | changes)


@asynccontextmanager
async def server(host: str = "127.0.0.1", *, app: ASGIApp = echo, **changes: Any) -> AsyncGenerator[str]:
    async with asyncio.timeout(30), serving(app, settings_of(**changes), host=host, port=0) as address:
        yield address


@asynccontextmanager
async def line(**changes: Any) -> AsyncGenerator[Line]:
    async with server(**changes) as address, line_to(address) as line:
        yield line


def refused(bound: str) -> float:
    name = f'datacosmos_refused_total{{bound="{bound}"}} '
    return sum(float(row.removeprefix(name)) for row in exposition().decode().splitlines() if row.startswith(name))
