"""The Calculation service: one process, or several that share a socket."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

from datacosmos.auth.secret import load_issuer
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.pool import pool_of
from datacosmos.errors import Unavailable
from datacosmos.programs.checks import pool_check, store_check
from datacosmos.programs.children import beside
from datacosmos.programs.endpoints import with_running_engines
from datacosmos.programs.lifetime import stop_signal
from datacosmos.programs.server import address_of, listener_of, serving_on
from datacosmos.retries import Backoff, retry
from datacosmos.settings import Settings
from datacosmos.store.format import Format
from datacosmos.store.mongo import connection
from datacosmos.store.mongo.connection import Database
from datacosmos.store.series.series import SeriesStore

FORMAT_CHECKS = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))


async def calculation(settings: Settings, *, descriptor: int | None, announce: Callable[[str], None]) -> None:
    """The Calculation service, in as many processes as are set; as one of them where a descriptor is given."""
    async with stop_signal(aside=descriptor is not None) as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, nats=False)
        listener = parts.enter_context(listener_of(descriptor, settings.host, settings.calculation_port))
        if descriptor is not None or settings.calculation_workers == 1:
            await parts.enter_async_context(_calculating(settings, listener, stop))
        else:
            await beside("calculation", settings.calculation_workers, settings, listener, parts)
        announce(address_of(listener))
        await stop.wait()


@asynccontextmanager
async def _calculating(settings: Settings, listener: socket.socket, stop: asyncio.Event) -> AsyncGenerator[None]:
    issuer = load_issuer(settings)
    assert settings.mongodb_url is not None  # noqa: S101  as above
    url = settings.mongodb_url.get_secret_value()
    connecting = connection.connect(url, settings.mongodb_database, settings.mongodb_timeout)
    async with (
        connecting as database,
        pool_of(settings.forecast_processes) as pool,
        _checking_format(database, stop),
    ):
        calculator = Calculator(
            SeriesStore(database),
            pool,
            settings.forecast_max_points,
            settings.calculation_max_points,
            settings.calculation_timeout,
        )
        checks = {"store": store_check(database), "forecasts": pool_check(pool)}
        async with serving_on(listener, create_calculation_app(calculator, issuers=[issuer], health=checks), settings):
            yield


def _go_on(error: Unavailable, failures: int) -> None:
    """Nothing to say: the store's check tells of it."""


@asynccontextmanager
async def _checking_format(database: Database, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Stops the program with NewerFormat, at once or as soon as MongoDB, for which it does not wait, is available."""
    checking = retry(Format(database).check, FORMAT_CHECKS, on=Unavailable, failed=_go_on)
    task = asyncio.create_task(checking)
    task.add_done_callback(lambda ended: ended.cancelled() or (ended.exception() and stop.set()))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
