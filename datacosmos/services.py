"""Puts the parts together into the programs that the commands start; each runs until it is told to stop.

Parts are entered in the order in which data flows backwards, so that a stop ends them the way data flows: first what
takes readings in, then what writes them, then what keeps them.
"""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Literal, TypeVar

import structlog
from pydantic import SecretStr
from starlette.types import ASGIApp

from datacosmos.api.app import create_app, create_health_app
from datacosmos.api.intake import Intake
from datacosmos.calculation import client
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.client import Calculation
from datacosmos.calculation.pool import pool_of
from datacosmos.checks import calculation_check, poller_check, pool_check, queue_check, show_queue, store_check
from datacosmos.children import children
from datacosmos.engines import Endpoints, embedded_engines, running_engines
from datacosmos.errors import EngineError, SettingsError, Unavailable
from datacosmos.http.health import HealthCheck
from datacosmos.pipeline import queue as queues
from datacosmos.pipeline.backoff import backoff
from datacosmos.pipeline.ledger import ledgers
from datacosmos.pipeline.lines import Progress, ingest_lines
from datacosmos.pipeline.poller import polling
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.sweeper import sweeping
from datacosmos.pipeline.writer import Writer
from datacosmos.server import address_of, listen, serving, serving_on
from datacosmos.setting_types import without_userinfo
from datacosmos.settings import Settings, to_environment
from datacosmos.simulators.data_server import create_simulator
from datacosmos.sources import locations
from datacosmos.store import connection
from datacosmos.store.connection import Database
from datacosmos.store.series import SeriesStore
from datacosmos.store.stores import Stores
from datacosmos.tokens import load_secret

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")
STARTUP = timedelta(seconds=30)
DEMO_RATE = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a started program can be found."""

    api: str
    calculation: str
    data_server: str | None = None
    simulated: bool = False


async def serve(settings: Settings, *, demo: bool, announce: Callable[[Addresses], None]) -> None:
    """Everything in one process, with the embedded engines that are not configured."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        listener = parts.enter_context(listen(settings.host, settings.port))
        settings = await _with_embedded_engines(settings, parts)
        settings = await _with_calculation(settings, parts)
        database, stores = await _store(settings, parts)
        queue = await _queue(settings, parts)
        await _keep_house(settings, stores, queue)
        await parts.enter_async_context(_writing(settings, queue, stores, stop))
        await parts.enter_async_context(sweeping(stores.series))
        demo = demo and "data_server_url" not in settings.model_fields_set
        if demo:
            simulator = create_simulator(rate=DEMO_RATE, seed=None)
            url = await parts.enter_async_context(serving(simulator, settings, host="127.0.0.1", port=0))
            settings = settings.model_copy(update={"data_server_url": url})
        poller = await parts.enter_async_context(polling(settings, queue))
        calculation = await _calculation(settings, parts)
        checks = {"store": store_check(database), "queue": queue_check(queue), "data_server": poller_check(poller)}
        checks["calculation"] = calculation_check(calculation)
        app = _api(settings, stores, calculation, checks, queue)
        await parts.enter_async_context(serving_on(listener, app, settings))
        announce(Addresses(address_of(listener), settings.calculation_url, settings.data_server_url, simulated=demo))
        await stop.wait()


async def api(settings: Settings, *, announce: Callable[[Addresses], None]) -> None:
    """The API alone, on given engines or those of a running serve."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        listener = parts.enter_context(listen(settings.host, settings.port))
        settings = with_running_engines(settings)
        database, stores = await _store(settings, parts)
        queue = await _queue(settings, parts)
        calculation = await _calculation(settings, parts)
        checks = {"store": store_check(database), "queue": queue_check(queue)}
        app = _api(settings, stores, calculation, checks | {"calculation": calculation_check(calculation)}, queue)
        await parts.enter_async_context(serving_on(listener, app, settings))
        announce(Addresses(address_of(listener), settings.calculation_url))
        await stop.wait()


async def ingest(settings: Settings) -> None:
    """The poller alone."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, mongodb=False)
        queue = await _queue(settings, parts)
        poller = await parts.enter_async_context(polling(settings, queue))
        checks = {"queue": queue_check(queue), "data_server": poller_check(poller)}
        await _watched(settings, checks, queue, parts)
        log.info("polling", url=without_userinfo(settings.data_server_url))
        await stop.wait()


async def ingest_sensors(settings: Settings, file: BinaryIO, *, show: Callable[[str], None]) -> bool:
    """Lines of sensors' records onto the queue; False where not all of them could be brought there."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, mongodb=False)
        queue = await _queue(settings, parts)
        stop.awaited = True  # from here on a stop ends between two batches
        progress = Progress(show, asyncio.get_running_loop().time)
        tally = await ingest_lines(
            file, queue, settings, stopping=stop, progress=progress.note, waiting=progress.waiting
        )
        ended = f"interrupted: all is durable up to line {tally.last_line}" if stop.is_set() else "all is durable"
        show(f"{tally}; {ended}")
        return not stop.is_set()
    return False


async def write(settings: Settings) -> None:
    """The writer alone, as one of any number."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings)
        database, stores = await _store(settings, parts)
        queue = await _queue(settings, parts)
        await _keep_house(settings, stores, queue)
        await parts.enter_async_context(_writing(settings, queue, stores, stop))
        await parts.enter_async_context(sweeping(stores.series))
        await _watched(settings, {"store": store_check(database), "queue": queue_check(queue)}, queue, parts)
        log.info("writing", database=settings.mongodb_database)
        await stop.wait()


async def calculation(settings: Settings, *, descriptor: int | None, announce: Callable[[str], None]) -> None:
    """The Calculation service, in as many processes as are set; in one, on an open socket, where that is given."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, nats=False)
        if descriptor is not None:
            listener = socket.socket(fileno=descriptor)
        else:
            listener = listen(settings.host, settings.calculation_port)
        if descriptor is not None or settings.calculation_workers == 1:
            await parts.enter_async_context(_calculating(settings, listener))
        else:
            await _calculating_beside(settings, listener, parts)
        announce(address_of(listener))
        await stop.wait()


async def simulate_data_server(
    settings: Settings, *, host: str, port: int, rate: float, seed: int | None, announce: Callable[[str], None]
) -> None:
    """The stand-in for a data server."""
    async with _told_to_stop() as stop:
        app = create_simulator(rate=rate, seed=seed)
        async with serving(app, settings, host=host, port=port) as address:
            announce(address)
            await stop.wait()


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


async def _with_embedded_engines(settings: Settings, parts: AsyncExitStack) -> Settings:
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


async def _store(settings: Settings, parts: AsyncExitStack) -> tuple[Database, Stores]:
    assert settings.mongodb_url is not None  # noqa: S101  given, or filled in from the engines
    url = settings.mongodb_url.get_secret_value()
    connecting = connection.connect(url, settings.mongodb_database, settings.mongodb_timeout)
    database = await parts.enter_async_context(connecting)
    stores = Stores.of(database)
    await _patiently(stores.prepare)
    return database, stores


async def _keep_house(settings: Settings, stores: Stores, queue: Queue) -> None:
    """What the settings of the program that writes decide for all."""
    await _patiently(lambda: stores.points.keep_discards_for(settings.discard_retention))
    await _patiently(queue.resize)


@asynccontextmanager
async def _calculating(settings: Settings, listener: socket.socket) -> AsyncGenerator[None]:
    secret = load_secret(settings)
    assert settings.mongodb_url is not None  # noqa: S101  as above
    url = settings.mongodb_url.get_secret_value()
    connecting = connection.connect(url, settings.mongodb_database, settings.mongodb_timeout)
    async with connecting as database, pool_of(settings.forecast_processes) as pool:
        calculator = Calculator(SeriesStore(database), pool, settings.forecast_max_points)
        checks = {"store": store_check(database), "forecasts": pool_check(pool)}
        async with serving_on(listener, create_calculation_app(calculator, secret=secret, health=checks), settings):
            yield


async def _with_calculation(settings: Settings, parts: AsyncExitStack) -> Settings:
    """The settings with the address of a Calculation service of our own, started where none is given."""
    if "calculation_url" in settings.model_fields_set:
        return settings
    try:
        listener = listen("127.0.0.1", settings.calculation_port)
    except SettingsError:
        listener = listen("127.0.0.1", 0)
        log.info("calculation port is taken, using a free one", taken=settings.calculation_port)
    await _calculating_beside(settings, listener, parts)
    return settings.model_copy(update={"calculation_url": address_of(listener)})


async def _calculating_beside(settings: Settings, listener: socket.socket, parts: AsyncExitStack) -> None:
    parts.enter_context(listener)
    secret = SecretStr(load_secret(settings))  # what is wrong with it is said here, and once
    count, variables = settings.calculation_workers, to_environment(settings.model_copy(update={"jwt_secret": secret}))
    await parts.enter_async_context(children("calculation", count=count, listener=listener, variables=variables))


async def _calculation(settings: Settings, parts: AsyncExitStack) -> Calculation:
    secret, timeout = load_secret(settings), settings.calculation_timeout
    return await parts.enter_async_context(client.connect(settings.calculation_url, secret=secret, timeout=timeout))


async def _queue(settings: Settings, parts: AsyncExitStack) -> Queue:
    assert settings.nats_url is not None  # noqa: S101  as above
    url = settings.nats_url.get_secret_value()

    async def connected() -> Queue:
        connecting = queues.connect(
            url, stream=settings.nats_stream, max_bytes=settings.queue_max_bytes, timeout=settings.nats_timeout
        )
        return await parts.enter_async_context(connecting)

    queue = await _patiently(connected)
    await _patiently(queue.prepare)
    return queue


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Engines started at the same time may need a while."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STARTUP.total_seconds()
    failures = 0
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            if loop.time() > deadline:
                raise
            if failures == 0:
                log.warning("waiting", error=str(error), seconds=STARTUP.total_seconds())
        await asyncio.sleep(backoff(failures, first=timedelta(milliseconds=100), most=timedelta(seconds=2)))
        failures += 1


@asynccontextmanager
async def _writing(settings: Settings, queue: Queue, stores: Stores, stop: asyncio.Event) -> AsyncGenerator[None]:
    writer = Writer(settings, queue=queue, points=stores.points, receipts=stores.receipts)
    task = asyncio.create_task(writer.run())
    task.add_done_callback(lambda _: stop.set())  # without it the program would take in and never write
    try:
        yield
    finally:
        writer.stop()
        await task


class _Stop(asyncio.Event):
    """Knows whether the program has come so far as to wait for it."""

    awaited = False

    async def wait(self) -> Literal[True]:
        self.awaited = True
        return await super().wait()


@asynccontextmanager
async def _told_to_stop() -> AsyncGenerator[_Stop]:
    """Set by the first SIGINT or SIGTERM, which also ends what is still starting; a second one ends it all at once."""
    loop = asyncio.get_running_loop()
    program = asyncio.current_task()
    stop = _Stop()

    def told() -> None:
        log.info("stopping")
        stop.set()
        if program is not None and not stop.awaited:
            program.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    try:
        yield stop
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


def _api(
    settings: Settings, stores: Stores, calculation: Calculation, checks: Mapping[str, HealthCheck], queue: Queue
) -> ASGIApp:
    locations.load_zones()
    return create_app(
        settings,
        stores=stores,
        calculation=calculation,
        intake=Intake(queue.publish, lambda: ledgers(queue, stores.points, stores.receipts)),
        secret=load_secret(settings),
        health=checks,
        refresh=[lambda: show_queue(queue)],
    )


async def _watched(settings: Settings, checks: Mapping[str, HealthCheck], queue: Queue, parts: AsyncExitStack) -> None:
    """Health and metrics for a program without an API, where a port is set for them."""
    if settings.health_port is not None:
        app = create_health_app(health=checks, refresh=[lambda: show_queue(queue)])
        await parts.enter_async_context(serving(app, settings, host=settings.host, port=settings.health_port))
