from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import FastAPI

from datacosmos.api.app import create_app
from datacosmos.settings import Settings
from datacosmos.store.points import Points
from tests.api.asking import SECRET, client_of


@pytest.fixture
def app(settings: Settings, points: Points) -> FastAPI:
    return create_app(settings, points=points, secret=SECRET, health={})


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client
