"""The API and the Calculation service over real HTTP, for machines that think of what people do not.

FUZZ=20 makes the runs twenty times as long; --seed=random makes them different ones.
"""

import os
from collections.abc import AsyncGenerator

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as bounds

from datacosmos.api.intake import Intake
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.pipeline.ledger import ledgers
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.sources.registry import configured
from datacosmos.store.stores import Stores
from tests.asking import OURS, InThread, app_of
from tests.made_series import each_second
from tests.queues import open_queue

TIMES = int(os.environ.get("FUZZ", "0"))


def bounded(examples: int) -> bounds:
    return bounds(
        max_examples=examples * max(1, TIMES),
        database=None,
        deadline=None,
        phases=[Phase.generate] if not TIMES else list(Phase),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


@pytest.fixture
async def address(settings: Settings, stores: Stores) -> AsyncGenerator[str]:
    """That of the API, with a queue and a Calculation service."""
    roomy = settings.model_copy(update={"queue_max_bytes": 512 << 20})
    async with open_queue(roomy) as queue:
        intake = Intake(queue.publish, lambda: ledgers(configured(settings), queue, stores.points, stores.receipts))
        async with serving(app_of(settings, stores, intake=intake), settings, host="127.0.0.1", port=0) as address:
            yield address


@pytest.fixture
async def calculation_address(settings: Settings, stores: Stores) -> AsyncGenerator[str]:
    """That of a Calculation service with a series named `mast`, of those without a token."""
    await stores.series.create(None, "mast", None, each_second([float(n % 7) for n in range(100)]))
    calculator = Calculator(stores.series, InThread(), settings.forecast_max_points)
    app = create_calculation_app(calculator, issuers=[OURS], health={})
    async with serving(app, settings, host="127.0.0.1", port=0) as address:
        yield address
