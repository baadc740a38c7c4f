"""Runs an ASGI application in a program that has other work too: uvicorn without its hold on the signals."""

import asyncio
import contextlib
import math
import socket
import sys
from collections.abc import AsyncGenerator, Collection, Generator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from datacosmos.errors import SettingsError
from datacosmos.http.held_bodies import HeldBodies
from datacosmos.http.protocol import protocol_of
from datacosmos.settings import Settings

MESSAGE = 256 << 10  # bytes of a WebSocket's message, whole or not yet
PING = 20.0  # seconds between pings to a WebSocket's client, and for which an answer is waited for
SWITCH = 0.001
"""Seconds for which a thread that works may keep the event loop from going on; Python's default is five times that."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # the program stops its parts in order, the server among them

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def serving(
    app: ASGIApp, settings: Settings, *, host: str, port: int, websockets: Collection[str] = ()
) -> AsyncGenerator[str]:
    """The application at work, under the address that is given; at the end open requests may finish.

    `websockets` are the paths at which it takes them.
    """
    async with serving_on(listen(host, port), app, settings, websockets=websockets) as address:
        yield address


@asynccontextmanager
async def serving_on(
    listener: socket.socket, app: ASGIApp, settings: Settings, *, websockets: Collection[str] = ()
) -> AsyncGenerator[str]:
    """The same on a socket that listens already, which is closed at the end."""
    sys.setswitchinterval(SWITCH)
    config = uvicorn.Config(
        HeldBodies(app, settings),
        interface="asgi3",  # which uvicorn finds out of a coroutine function alone
        http=protocol_of(settings, websockets),
        ws="websockets-sansio" if websockets else "none",
        ws_max_size=min(settings.max_request_bytes, MESSAGE),
        ws_ping_interval=PING,
        ws_ping_timeout=PING,
        ws_per_message_deflate=False,  # it would take most of what a connection may cost
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # an application that says its own address reads them itself
        reset_contextvars=True,  # else a pipelined request begins with those of the one before
        timeout_keep_alive=math.ceil(settings.idle_timeout.total_seconds()),
        timeout_graceful_shutdown=max(1, round(settings.stop_grace.total_seconds())),
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    task.add_done_callback(lambda _: server.ready.set())
    await server.ready.wait()
    try:
        yield address_of(listener)
    finally:
        server.should_exit = True
        await task


def address_of(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, of a kind known as TCP, or else asyncio would not send small answers at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"can't listen on {host} port {port}: {error.strerror}; give another --host or --port, "
            "or stop what listens there"
        ) from None
    return listener


def listener_of(descriptor: int | None, host: str, port: int) -> socket.socket:
    """The one that a parent of ours opened, or else our own."""
    return listen(host, port) if descriptor is None else socket.socket(fileno=descriptor)
