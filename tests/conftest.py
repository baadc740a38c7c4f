"""Real engines for every test: one of each per session, a database and a stream of its own per test."""

import os
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio

from datacosmos.engines import Endpoints, embedded_engines
from datacosmos.settings import PREFIX, Settings
from datacosmos.store.connection import Database, connect
from datacosmos.store.minutes import Minutes
from datacosmos.store.points import Points
from datacosmos.store.stores import Stores

hypothesis.settings.register_profile("datacosmos", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("datacosmos")

# What the developer's own environment says is no part of a test.
for name in [name for name in os.environ if name.startswith(PREFIX)]:
    del os.environ[name]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def endpoints(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Endpoints]:
    """The session's engines; a test that harms an engine starts its own instead."""
    async with embedded_engines(tmp_path_factory.mktemp("engines")) as endpoints:
        yield endpoints


@pytest.fixture
def settings(endpoints: Endpoints, tmp_path: Path) -> Settings:
    """Settings with a database and a stream that no other test has."""
    name = f"test_{secrets.token_hex(6)}"
    return Settings.model_validate(
        {
            "_env_file": None,
            "mongodb_url": endpoints.mongodb_url,
            "mongodb_database": name,
            "nats_url": endpoints.nats_url,
            "nats_stream": name,
            "queue_max_bytes": "16MiB",
            "jwt_secret": secrets.token_hex(32),
            "data_dir": tmp_path / "data",
        }
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    """The database of `settings`, dropped after the test."""
    assert settings.mongodb_url
    url = settings.mongodb_url.get_secret_value()
    async with connect(url, settings.mongodb_database, settings.mongodb_timeout) as database:
        yield database
        await database.client.drop_database(settings.mongodb_database)


@pytest.fixture
async def stores(database: Database) -> Stores:
    stores = Stores.of(database)
    await stores.prepare()
    return stores


@pytest.fixture
def points(stores: Stores) -> Points:
    return stores.points


@pytest.fixture
def minutes(stores: Stores) -> Minutes:
    return stores.minutes
