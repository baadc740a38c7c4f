"""Puts the parts together into the programs that the commands start; each runs until it is told to stop.

Parts are entered in the order in which data flows backwards, so that a stop ends them the way data flows: first what
takes readings in, then what writes them, then what keeps them.
"""

import asyncio
import gc
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import BinaryIO

import structlog
from starlette.types import ASGIApp

from datacosmos.api.app import create_app, create_health_app
from datacosmos.api.intake import Intake
from datacosmos.calculation.client import Calculation
from datacosmos.checks import calculation_check, poller_check, queue_check, show_queue, store_check
from datacosmos.http.health import HealthCheck
from datacosmos.lifetime import told_to_stop
from datacosmos.parts import (
    beside,
    calculating,
    keep_house,
    open_queue,
    open_store,
    reach_calculation,
    with_calculation,
    with_embedded_engines,
    with_running_engines,
    writing,
)
from datacosmos.pipeline.ledger import ledgers
from datacosmos.pipeline.lines import Progress, ingest_lines
from datacosmos.pipeline.poller import polling
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.sweeper import sweeping
from datacosmos.server import address_of, listen, serving, serving_on
from datacosmos.setting_types import without_userinfo
from datacosmos.settings import Settings
from datacosmos.simulators.data_server import create_simulator
from datacosmos.sources import locations
from datacosmos.store.stores import Stores
from datacosmos.tokens import load_secret

log = structlog.stdlib.get_logger(__name__)
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
    async with told_to_stop() as stop, AsyncExitStack() as parts:
        listener = parts.enter_context(listen(settings.host, settings.port))
        settings = await with_embedded_engines(settings, parts)
        settings = await with_calculation(settings, parts)
        database, stores = await open_store(settings, parts)
        queue = await open_queue(settings, parts)
        await keep_house(settings, stores, queue)
        await parts.enter_async_context(writing(settings, queue, stores, stop))
        await parts.enter_async_context(sweeping(stores.series))
        demo = demo and "data_server_url" not in settings.model_fields_set
        if demo:
            simulator = create_simulator(rate=DEMO_RATE, seed=None)
            url = await parts.enter_async_context(serving(simulator, settings, host="127.0.0.1", port=0))
            settings = settings.model_copy(update={"data_server_url": url})
        poller = await parts.enter_async_context(polling(settings, queue))
        calculation = await reach_calculation(settings, parts)
        checks = {"store": store_check(database), "queue": queue_check(queue), "data_server": poller_check(poller)}
        checks["calculation"] = calculation_check(calculation)
        if settings.api_workers == 1:
            app = _api(settings, stores, calculation, checks, queue)
            await parts.enter_async_context(serving_on(listener, app, settings))
        else:
            await watched(settings, checks, queue, parts)
            await beside("api", settings.api_workers, settings, listener, parts)
        announce(Addresses(address_of(listener), settings.calculation_url, settings.data_server_url, simulated=demo))
        await stop.wait()


async def api(settings: Settings, *, descriptor: int | None, announce: Callable[[Addresses], None]) -> None:
    """The API alone, on given engines or those of a running serve; as one of several where a descriptor is given."""
    async with told_to_stop() as stop, AsyncExitStack() as parts:
        listener = parts.enter_context(_socket(descriptor, settings.host, settings.port))
        settings = with_running_engines(settings)
        if descriptor is not None or settings.api_workers == 1:
            database, stores = await open_store(settings, parts)
            queue = await open_queue(settings, parts)
            calculation = await reach_calculation(settings, parts)
            checks = {"store": store_check(database), "queue": queue_check(queue)}
            app = _api(settings, stores, calculation, checks | {"calculation": calculation_check(calculation)}, queue)
            await parts.enter_async_context(serving_on(listener, app, settings))
        else:
            await beside("api", settings.api_workers, settings, listener, parts)
        announce(Addresses(address_of(listener), settings.calculation_url))
        await stop.wait()


async def ingest(settings: Settings) -> None:
    """The poller alone."""
    async with told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, mongodb=False)
        queue = await open_queue(settings, parts)
        poller = await parts.enter_async_context(polling(settings, queue))
        checks = {"queue": queue_check(queue), "data_server": poller_check(poller)}
        await watched(settings, checks, queue, parts)
        log.info("polling", url=without_userinfo(settings.data_server_url))
        await stop.wait()


async def ingest_sensors(settings: Settings, file: BinaryIO, *, show: Callable[[str], None]) -> bool:
    """Lines of sensors' records onto the queue; False where not all of them could be brought there."""
    async with told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, mongodb=False)
        queue = await open_queue(settings, parts)
        await watched(settings, {"queue": queue_check(queue)}, queue, parts)
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
    async with told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings)
        database, stores = await open_store(settings, parts)
        queue = await open_queue(settings, parts)
        await keep_house(settings, stores, queue)
        await parts.enter_async_context(writing(settings, queue, stores, stop))
        await parts.enter_async_context(sweeping(stores.series))
        await watched(settings, {"store": store_check(database), "queue": queue_check(queue)}, queue, parts)
        log.info("writing", database=settings.mongodb_database)
        await stop.wait()


async def calculation(settings: Settings, *, descriptor: int | None, announce: Callable[[str], None]) -> None:
    """The Calculation service, in as many processes as are set; as one of them where a descriptor is given."""
    async with told_to_stop() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, nats=False)
        listener = parts.enter_context(_socket(descriptor, settings.host, settings.calculation_port))
        if descriptor is not None or settings.calculation_workers == 1:
            await parts.enter_async_context(calculating(settings, listener))
        else:
            await beside("calculation", settings.calculation_workers, settings, listener, parts)
        announce(address_of(listener))
        await stop.wait()


async def simulate_data_server(
    settings: Settings, *, host: str, port: int, rate: float, seed: int | None, announce: Callable[[str], None]
) -> None:
    """The stand-in for a data server."""
    async with told_to_stop() as stop:
        app = create_simulator(rate=rate, seed=seed)
        async with serving(app, settings, host=host, port=port) as address:
            announce(address)
            await stop.wait()


def _socket(descriptor: int | None, host: str, port: int) -> socket.socket:
    """The one that a parent of ours opened, or else our own."""
    return listen(host, port) if descriptor is None else socket.socket(fileno=descriptor)


def _api(
    settings: Settings, stores: Stores, calculation: Calculation, checks: Mapping[str, HealthCheck], queue: Queue
) -> ASGIApp:
    locations.load_zones()
    app = create_app(
        settings,
        stores=stores,
        calculation=calculation,
        intake=Intake(queue.publish, lambda: ledgers(queue, stores.points, stores.receipts)),
        secret=load_secret(settings),
        health=checks,
        refresh=[lambda: show_queue(queue)],
    )
    gc.freeze()  # what stands now stands for good: no collection need look at it again
    return app


async def watched(settings: Settings, checks: Mapping[str, HealthCheck], queue: Queue, parts: AsyncExitStack) -> None:
    """Health and metrics for a program without an API, where a port is set for them."""
    if settings.health_port is not None:
        app = create_health_app(health=checks, refresh=[lambda: show_queue(queue)])
        await parts.enter_async_context(serving(app, settings, host=settings.host, port=settings.health_port))
