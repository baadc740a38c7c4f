from collections.abc import AsyncGenerator

import httpx
import pytest
from starlette.types import ASGIApp

from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.api.asking import app_of, client_of


@pytest.fixture
def app(settings: Settings, stores: Stores) -> ASGIApp:
    return app_of(settings, stores)


@pytest.fixture
async def client(app: ASGIApp) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client
