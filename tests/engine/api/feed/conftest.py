import asyncio
from collections.abc import AsyncGenerator

import pytest

from datacosmos.api.feed.feed import Feed
from datacosmos.api.graphql.http import PATH
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import SECRET, app_of


@pytest.fixture
async def feed(settings: Settings, stores: Stores) -> Feed:
    return Feed(settings, stores.changes, SECRET)


@pytest.fixture
async def address(settings: Settings, stores: Stores, feed: Feed) -> AsyncGenerator[str]:
    """Of a served API; at the end no stream is open any more."""
    app = app_of(settings, stores, feed=feed)
    async with serving(app, settings, host="127.0.0.1", port=0, websockets=(PATH,)) as address:
        yield address
        feed.stop()
    await asyncio.sleep(0)
    assert not feed.is_read
