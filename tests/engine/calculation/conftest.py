from collections.abc import AsyncGenerator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from datacosmos.auth.secret import load_issuer
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.client import Calculation, connect
from datacosmos.calculation.pool import Pool
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo import connection
from datacosmos.store.mongo.connection import Database
from datacosmos.store.series.series import SeriesStore


@pytest.fixture
async def store(database: Database) -> SeriesStore:
    store = SeriesStore(database)
    await store.prepare()
    return store


@pytest.fixture
async def only_read(settings: Settings, database: Database) -> AsyncGenerator[SeriesStore]:
    """The store as one has it who may only read: calculations need no more."""
    assert settings.mongodb_url
    server = urlsplit(settings.mongodb_url.get_secret_value()).netloc.rpartition("@")[2]
    url = f"mongodb://reader:reading@{server}/?directConnection=true&authSource={database.name}"
    await database.command("createUser", "reader", pwd="reading", roles=["read"])
    async with connection.connect(url, database.name, settings.mongodb_timeout) as as_reader:
        yield SeriesStore(as_reader)
    await database.command("dropUser", "reader")


@pytest.fixture
async def address(settings: Settings, store: SeriesStore, only_read: SeriesStore, pool: Pool) -> AsyncGenerator[str]:
    """Where the service answers over HTTP."""
    calculator = Calculator(only_read, pool, settings.forecast_max_points)
    app = create_calculation_app(calculator, issuers=[load_issuer(settings)], health={})
    async with serving(app, settings, host="127.0.0.1", port=0) as address:
        yield address


@pytest.fixture
async def calculation(settings: Settings, address: str) -> AsyncGenerator[Calculation]:
    """With time enough for a machine that does other things too."""
    async with connect(address, issuer=load_issuer(settings), timeout=timedelta(minutes=1)) as calculation:
        yield calculation
