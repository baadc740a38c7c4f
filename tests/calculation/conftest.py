from collections.abc import AsyncGenerator

import pytest

from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.client import Calculation, connect
from datacosmos.calculation.pool import Pool, pool_of
from datacosmos.server import serving
from datacosmos.settings import Settings
from datacosmos.store.connection import Database
from datacosmos.store.series import SeriesStore
from datacosmos.tokens import load_secret


@pytest.fixture
async def store(database: Database) -> SeriesStore:
    store = SeriesStore(database)
    await store.prepare()
    return store


@pytest.fixture
async def pool() -> AsyncGenerator[Pool]:
    async with pool_of(2) as pool:
        yield pool


@pytest.fixture
async def address(settings: Settings, store: SeriesStore, pool: Pool) -> AsyncGenerator[str]:
    """Where the service answers over HTTP."""
    calculator = Calculator(store, pool, settings.forecast_max_points)
    app = create_calculation_app(calculator, secret=load_secret(settings), health={})
    async with serving(app, settings, host="127.0.0.1", port=0) as address:
        yield address


@pytest.fixture
async def calculation(settings: Settings, address: str) -> AsyncGenerator[Calculation]:
    async with connect(address, secret=load_secret(settings), timeout=settings.calculation_timeout) as calculation:
        yield calculation
