from collections.abc import AsyncGenerator

import pytest

from datacosmos.pipeline.queue import Queue
from datacosmos.settings import Settings
from tests.queues import open_queue
from tests.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
async def queue(settings: Settings) -> AsyncGenerator[Queue]:
    async with open_queue(settings) as queue:
        yield queue


@pytest.fixture
async def data_server() -> AsyncGenerator[ScriptedServer]:
    async with scripted_server() as server:
        yield server
