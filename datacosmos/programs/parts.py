"""The parts that programs are made of, each opened on the caller's stack."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice

import structlog
import uuid_utils
from pydantic import SecretStr

from datacosmos.auth.secret import load_issuer, load_secret
from datacosmos.calculation import client
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.client import Calculation
from datacosmos.calculation.pool import pool_of
from datacosmos.engines import Endpoints, embedded_engines, running_engines
from datacosmos.errors import EngineError, SettingsError, Unavailable
from datacosmos.pipeline import queue as queues
from datacosmos.pipeline.publishing import publish_durably
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.writer import Writer
from datacosmos.programs.checks import pool_check, store_check
from datacosmos.programs.children import children
from datacosmos.programs.lifetime import patiently
from datacosmos.programs.server import address_of, listen, serving_on
from datacosmos.retries import Backoff, retry
from datacosmos.settings import Settings, to_environment
from datacosmos.simulators import sensors as simulated
from datacosmos.sources import sensors
from datacosmos.store.format import Format
from datacosmos.store.mongo import connection
from datacosmos.store.mongo.connection import Database
from datacosmos.store.series.series import SeriesStore
from datacosmos.store.stores import Stores

log = structlog.stdlib.get_logger(__name__)
HISTORY = 1800  # records of simulated sensors
FORMAT_CHECKS = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))


def with_running_engines(settings: Settings, *, mongodb: bool = True, nats: bool = True) -> Settings:
    """The settings with the addresses of the engines that a `serve` runs in the data directory, where none is given.

    Raises EngineError where one that is wanted is neither given nor runs there.
    """
    if (settings.mongodb_url or not mongodb) and (settings.nats_url or not nats):
        return settings
    completed = _completed(settings, running_engines(settings.data_dir))
    for name, url, wanted in (
        ("MONGODB", completed.mongodb_url, mongodb),
        ("NATS", completed.nats_url, nats),
    ):
        if wanted and url is None:
            raise EngineError(
                f"the serve on {settings.data_dir} was given an engine of its own: give DATACOSMOS_{name}_URL here too"
            )
    return completed


async def with_embedded_engines(settings: Settings, parts: AsyncExitStack) -> Settings:
    # With the embedded MongoDB a secret is made; and what is wrong with one is said before anything starts.
    secret = SecretStr(load_secret(settings, make=True))
    mongodb, nats = settings.mongodb_url is None, settings.nats_url is None
    if not mongodb and not nats:
        return settings
    engines = embedded_engines(settings.data_dir, mongodb=mongodb, nats=nats)
    endpoints = await parts.enter_async_context(engines)
    return _completed(settings.model_copy(update={"jwt_secret": secret}), endpoints)


def _completed(settings: Settings, endpoints: Endpoints) -> Settings:
    update = {
        "mongodb_url": settings.mongodb_url or (endpoints.mongodb_url and SecretStr(endpoints.mongodb_url)),
        "nats_url": settings.nats_url or (endpoints.nats_url and SecretStr(endpoints.nats_url)),
    }
    return settings.model_copy(update=update)


async def open_store(settings: Settings, parts: AsyncExitStack) -> tuple[Database, Stores]:
    assert settings.mongodb_url is not None  # noqa: S101  given, or filled in from the engines
    url = settings.mongodb_url.get_secret_value()
    connecting = connection.connect(
        url, settings.mongodb_database, settings.mongodb_timeout, long_lists=settings.long_lists
    )
    database = await parts.enter_async_context(connecting)
    stores = Stores.of(database)
    await patiently(stores.prepare)
    return database, stores


async def apply_shared_settings(settings: Settings, stores: Stores, queue: Queue) -> None:
    """What the settings of the program that writes decide for all."""
    await patiently(lambda: stores.points.keep_discards_for(settings.discard_retention))
    await patiently(queue.adjust)


async def open_queue(settings: Settings, parts: AsyncExitStack) -> Queue:
    assert settings.nats_url is not None  # noqa: S101  as above
    url = settings.nats_url.get_secret_value()

    async def connected() -> Queue:
        connecting = queues.connect(
            url,
            stream=settings.nats_stream,
            max_bytes=settings.queue_max_bytes,
            timeout=settings.nats_timeout,
            replicas=settings.nats_replicas,
        )
        return await parts.enter_async_context(connecting)

    queue = await patiently(connected)
    await patiently(queue.prepare)
    return queue


@asynccontextmanager
async def writing(settings: Settings, queue: Queue, stores: Stores, stop: asyncio.Event) -> AsyncGenerator[None]:
    writer = Writer(settings, queue=queue, stores=stores)
    task = asyncio.create_task(writer.run())
    task.add_done_callback(lambda _: stop.set())  # without it the program would take in and never write
    try:
        yield
    finally:
        writer.stop()
        await task


@asynccontextmanager
async def calculating(settings: Settings, listener: socket.socket, stop: asyncio.Event) -> AsyncGenerator[None]:
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


async def with_calculation(settings: Settings, parts: AsyncExitStack) -> Settings:
    """The settings with the address of a Calculation service of our own, started where none is given."""
    if "calculation_url" in settings.model_fields_set:
        return settings
    try:
        listener = listen("127.0.0.1", settings.calculation_port)
    except SettingsError:
        listener = listen("127.0.0.1", 0)
        log.info("calculation port is taken, using a free one", taken=settings.calculation_port)
    await beside("calculation", settings.calculation_workers, settings, parts.enter_context(listener), parts)
    return settings.model_copy(update={"calculation_url": address_of(listener)})


async def beside(
    command: str, count: int, settings: Settings, listener: socket.socket | None, parts: AsyncExitStack
) -> None:
    """A program of ours in processes of its own, which share the socket and have the same settings."""
    secret = SecretStr(load_secret(settings))  # what is wrong with it is said here, and once
    variables = to_environment(settings.model_copy(update={"jwt_secret": secret}))
    starting = children(command, count=count, listener=listener, variables=variables, grace=settings.stop_grace)
    await parts.enter_async_context(starting)


async def reach_calculation(settings: Settings, parts: AsyncExitStack) -> Calculation:
    issuer, timeout = load_issuer(settings), settings.calculation_timeout
    return await parts.enter_async_context(client.connect(settings.calculation_url, issuer=issuer, timeout=timeout))


@asynccontextmanager
async def simulating_sensors(settings: Settings, queue: Queue, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Sensors made up, whose records of the last half hour are there at once, and one more each second."""
    task = asyncio.create_task(_simulate_sensors(settings, queue, stop))
    task.add_done_callback(_log_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("simulated sensors have ended", exc_info=error)


async def _simulate_sensors(settings: Settings, queue: Queue, stop: asyncio.Event) -> None:
    start = datetime.now(UTC).replace(tzinfo=None) - HISTORY * simulated.STEP
    records = simulated.records(start=start, faulty=0.01)
    source = sensors.source(settings)
    count = HISTORY
    while not stop.is_set():
        lines = [line.encode() for line in islice(records, count)]
        delivery = source.receive(lines, delivery_id=str(uuid_utils.uuid7()), received_at=datetime.now(UTC))
        await publish_durably(queue, delivery, stopping=stop, waiting=lambda fault: log.debug("waiting", fault=fault))
        count = 1
        await asyncio.sleep(simulated.STEP.total_seconds())
