"""Puts the parts together into the programs that the commands start; each runs until it is told to stop.

Parts are entered in the order in which data flows backwards, so that a stop ends them the way data flows: first what
takes readings in, then what writes them, then what keeps them.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog
from pydantic import SecretStr
from starlette.types import ASGIApp

from datacosmos import observability as metrics
from datacosmos.api.app import create_app, create_health_app
from datacosmos.api.rest.health import HealthCheck
from datacosmos.engines import Endpoints, embedded_engines, running_engines
from datacosmos.errors import Unavailable
from datacosmos.pipeline import queue as queues
from datacosmos.pipeline.backoff import backoff
from datacosmos.pipeline.poller import DataServerDown, Poller, polling
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.writer import Writer
from datacosmos.server import serving
from datacosmos.settings import Settings
from datacosmos.simulators.data_server import create_simulator
from datacosmos.store import connection
from datacosmos.store.connection import Database, ping
from datacosmos.store.points import Points
from datacosmos.tokens import load_secret

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")
STARTUP = timedelta(seconds=30)
DEMO_RATE = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a started program can be found."""

    api: str
    data_server: str
    simulated: bool


async def serve(settings: Settings, *, demo: bool, announce: Callable[[Addresses], None]) -> None:
    """Everything in one process, with the embedded engines that are not configured."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = await _with_embedded_engines(settings, parts)
        database, points = await _store(settings, parts)
        queue = await _queue(settings, parts)
        await parts.enter_async_context(_writing(settings, queue, points, stop))
        demo = demo and "data_server_url" not in settings.model_fields_set
        if demo:
            simulator = create_simulator(rate=DEMO_RATE, seed=None)
            url = await parts.enter_async_context(serving(simulator, settings, host="127.0.0.1", port=0))
            settings = settings.model_copy(update={"data_server_url": url})
        poller = await parts.enter_async_context(polling(settings, queue))
        checks = {"store": store_check(database), "queue": queue_check(queue), "data_server": poller_check(poller)}
        app = _api(settings, points, checks, queue)
        address = await parts.enter_async_context(serving(app, settings, host=settings.host, port=settings.port))
        announce(Addresses(address, settings.data_server_url, simulated=demo))
        await stop.wait()


async def api(settings: Settings, *, announce: Callable[[Addresses], None]) -> None:
    """The API alone, on given engines or those of a running serve."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings)
        database, points = await _store(settings, parts)
        queue = await _queue(settings, parts)
        app = _api(settings, points, {"store": store_check(database), "queue": queue_check(queue)}, queue)
        address = await parts.enter_async_context(serving(app, settings, host=settings.host, port=settings.port))
        announce(Addresses(address, settings.data_server_url, simulated=False))
        await stop.wait()


async def ingest(settings: Settings) -> None:
    """The poller alone."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings)
        queue = await _queue(settings, parts)
        poller = await parts.enter_async_context(polling(settings, queue))
        checks = {"queue": queue_check(queue), "data_server": poller_check(poller)}
        await _watched(settings, checks, queue, parts)
        log.info("polling", url=settings.data_server_url)
        await stop.wait()


async def write(settings: Settings) -> None:
    """The writer alone, as one of any number."""
    async with _told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings)
        database, points = await _store(settings, parts)
        queue = await _queue(settings, parts)
        await parts.enter_async_context(_writing(settings, queue, points, stop))
        await _watched(settings, {"store": store_check(database), "queue": queue_check(queue)}, queue, parts)
        log.info("writing", database=settings.mongodb_database)
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


def with_running_engines(settings: Settings) -> Settings:
    """The settings with the addresses of the engines that a `serve` runs in the data directory, where none is given."""
    secret = load_secret(settings)
    if settings.mongodb_url is not None and settings.nats_url is not None:
        return settings
    return _completed(settings, running_engines(settings.data_dir), secret)


async def _with_embedded_engines(settings: Settings, parts: AsyncExitStack) -> Settings:
    secret = load_secret(settings)  # what is wrong with it is said before anything starts
    mongodb, nats = settings.mongodb_url is None, settings.nats_url is None
    if not mongodb and not nats:
        return settings
    engines = embedded_engines(settings.data_dir, mongodb=mongodb, nats=nats)
    return _completed(settings, await parts.enter_async_context(engines), secret)


def _completed(settings: Settings, endpoints: Endpoints, secret: str) -> Settings:
    update = {
        "jwt_secret": SecretStr(secret),
        "mongodb_url": settings.mongodb_url or SecretStr(endpoints.mongodb_url or ""),
        "nats_url": settings.nats_url or SecretStr(endpoints.nats_url or ""),
    }
    return settings.model_copy(update=update)


async def _store(settings: Settings, parts: AsyncExitStack) -> tuple[Database, Points]:
    assert settings.mongodb_url is not None  # noqa: S101  given, or filled in from the engines
    url = settings.mongodb_url.get_secret_value()
    connecting = connection.connect(url, settings.mongodb_database, settings.mongodb_timeout)
    database = await parts.enter_async_context(connecting)
    points = Points(database)
    await _patiently(lambda: points.prepare(settings.discard_retention))
    return database, points


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
async def _writing(settings: Settings, queue: Queue, points: Points, stop: asyncio.Event) -> AsyncGenerator[None]:
    writer = Writer(settings, queue=queue, points=points)
    task = asyncio.create_task(writer.run())
    task.add_done_callback(lambda _: stop.set())  # without it the program would take in and never write
    try:
        yield
    finally:
        writer.stop()
        await task


@asynccontextmanager
async def _told_to_stop() -> AsyncGenerator[asyncio.Event]:
    """Set by the first SIGINT or SIGTERM; a second one ends the program at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def told() -> None:
        log.info("stopping")
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    yield stop


def _api(settings: Settings, points: Points, checks: Mapping[str, HealthCheck], queue: Queue) -> ASGIApp:
    secret = load_secret(settings)
    return create_app(settings, points=points, secret=secret, health=checks, refresh=[lambda: show_queue(queue)])


async def _watched(settings: Settings, checks: Mapping[str, HealthCheck], queue: Queue, parts: AsyncExitStack) -> None:
    """Health and metrics for a program without an API, where a port is set for them."""
    if settings.health_port is not None:
        app = create_health_app(health=checks, refresh=[lambda: show_queue(queue)])
        await parts.enter_async_context(serving(app, settings, host=settings.host, port=settings.health_port))


def store_check(database: Database) -> HealthCheck:
    async def ask() -> str:
        await ping(database)
        return "takes writes"

    return HealthCheck(ask)


def queue_check(queue: Queue) -> HealthCheck:
    async def ask() -> str:
        await queue.check_room()
        state = await queue.state()
        return (
            f"received {state.received}, of which queued {state.messages}, dead-lettered {state.dead_lettered}; "
            f"{state.bytes} of {state.max_bytes} bytes full"
        )

    return HealthCheck(ask)


def poller_check(poller: Poller) -> HealthCheck:
    """A data server that is down is no fault of ours."""

    async def ask() -> str:
        if poller.fault is not None:
            raise DataServerDown(poller.fault)
        return f"polling pauses: {poller.paused}" if poller.paused else "answers" if poller.asked else "not asked yet"

    return HealthCheck(ask, critical=False)


async def show_queue(queue: Queue) -> None:
    state = await queue.state()
    metrics.QUEUED.set(state.messages)
    metrics.QUEUED_BYTES.set(state.bytes)
