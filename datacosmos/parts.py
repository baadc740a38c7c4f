"""The parts that programs are made of, each opened on the caller's stack."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from pydantic import SecretStr

from datacosmos.calculation import client
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.client import Calculation
from datacosmos.calculation.pool import pool_of
from datacosmos.checks import pool_check, store_check
from datacosmos.children import children
from datacosmos.engines import Endpoints, embedded_engines, running_engines
from datacosmos.errors import EngineError, SettingsError
from datacosmos.lifetime import patiently
from datacosmos.pipeline import queue as queues
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.writer import Writer
from datacosmos.server import address_of, listen, serving_on
from datacosmos.settings import Settings, to_environment
from datacosmos.store import connection
from datacosmos.store.connection import Database
from datacosmos.store.series import SeriesStore
from datacosmos.store.stores import Stores
from datacosmos.tokens import load_secret

log = structlog.stdlib.get_logger(__name__)


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
    connecting = connection.connect(url, settings.mongodb_database, settings.mongodb_timeout)
    database = await parts.enter_async_context(connecting)
    stores = Stores.of(database)
    await patiently(stores.prepare)
    return database, stores


async def keep_house(settings: Settings, stores: Stores, queue: Queue) -> None:
    """What the settings of the program that writes decide for all."""
    await patiently(lambda: stores.points.keep_discards_for(settings.discard_retention))
    await patiently(queue.resize)


async def open_queue(settings: Settings, parts: AsyncExitStack) -> Queue:
    assert settings.nats_url is not None  # noqa: S101  as above
    url = settings.nats_url.get_secret_value()

    async def connected() -> Queue:
        connecting = queues.connect(
            url, stream=settings.nats_stream, max_bytes=settings.queue_max_bytes, timeout=settings.nats_timeout
        )
        return await parts.enter_async_context(connecting)

    queue = await patiently(connected)
    await patiently(queue.prepare)
    return queue


@asynccontextmanager
async def writing(settings: Settings, queue: Queue, stores: Stores, stop: asyncio.Event) -> AsyncGenerator[None]:
    writer = Writer(settings, queue=queue, points=stores.points, receipts=stores.receipts)
    task = asyncio.create_task(writer.run())
    task.add_done_callback(lambda _: stop.set())  # without it the program would take in and never write
    try:
        yield
    finally:
        writer.stop()
        await task


@asynccontextmanager
async def calculating(settings: Settings, listener: socket.socket) -> AsyncGenerator[None]:
    secret = load_secret(settings)
    assert settings.mongodb_url is not None  # noqa: S101  as above
    url = settings.mongodb_url.get_secret_value()
    connecting = connection.connect(url, settings.mongodb_database, settings.mongodb_timeout)
    async with connecting as database, pool_of(settings.forecast_processes) as pool:
        calculator = Calculator(SeriesStore(database), pool, settings.forecast_max_points)
        checks = {"store": store_check(database), "forecasts": pool_check(pool)}
        async with serving_on(listener, create_calculation_app(calculator, secret=secret, health=checks), settings):
            yield


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


async def beside(command: str, count: int, settings: Settings, listener: socket.socket, parts: AsyncExitStack) -> None:
    """A service of ours in processes of its own, which share the socket and have the same settings."""
    secret = SecretStr(load_secret(settings))  # what is wrong with it is said here, and once
    variables = to_environment(settings.model_copy(update={"jwt_secret": secret}))
    await parts.enter_async_context(children(command, count=count, listener=listener, variables=variables))


async def reach_calculation(settings: Settings, parts: AsyncExitStack) -> Calculation:
    secret, timeout = load_secret(settings), settings.calculation_timeout
    return await parts.enter_async_context(client.connect(settings.calculation_url, secret=secret, timeout=timeout))
