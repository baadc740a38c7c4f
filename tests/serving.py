"""An API that a test serves itself, and may stop and start again on the same port."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from datacosmos.api.feed.feed import Feed
from datacosmos.api.graphql.http import PATH
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import SECRET, app_of


@asynccontextmanager
async def held_port() -> AsyncGenerator[int]:
    """One that nobody else takes while a service on it is stopped, where connections are refused."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the service does, which so may have it, too
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@asynccontextmanager
async def live(settings: Settings, stores: Stores, port: int) -> AsyncGenerator[str]:
    """Its address; subscriptions end as they do where a service is stopped."""
    feed = Feed(settings, stores.changes, SECRET)
    app = app_of(settings, stores, feed=feed)
    async with serving(app, settings, host="127.0.0.1", port=port, websockets=[PATH]) as address:
        yield address
        feed.stop()
