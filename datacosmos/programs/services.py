"""Puts the parts together into the programs that the commands start; each runs until it is stopped.

Parts are entered in the order in which data flows backwards, so that a stop ends them the way data flows: first what
takes readings in, then what writes them, then what keeps them.
"""

import asyncio
import gc
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import BinaryIO

import structlog
from starlette.types import ASGIApp

from datacosmos.api.app import create_app
from datacosmos.api.feed.feed import Feed
from datacosmos.api.graphql.http import PATH
from datacosmos.api.intake import Intake
from datacosmos.auth.secret import load_issuer, load_secret
from datacosmos.calculation import client
from datacosmos.calculation.client import Calculation
from datacosmos.errors import SettingsError
from datacosmos.http.health import HealthCheck
from datacosmos.pipeline.ledger import ledgers
from datacosmos.pipeline.lines import Progress, Tally, ingest_lines
from datacosmos.pipeline.poller import polling
from datacosmos.pipeline.queue import Queue
from datacosmos.programs.checks import (
    calculation_check,
    poller_checks,
    queue_check,
    show_queue,
    show_window,
    store_check,
    writer_check,
)
from datacosmos.programs.children import beside
from datacosmos.programs.demo import simulating_sensors
from datacosmos.programs.endpoints import with_embedded_engines, with_running_engines
from datacosmos.programs.lifetime import stop_signal
from datacosmos.programs.parts import apply_shared_settings, open_queue, open_store, watched
from datacosmos.programs.server import address_of, listen, listener_of, serving, serving_on
from datacosmos.settings import Settings
from datacosmos.simulators.data_server import create_simulator
from datacosmos.sources import locations, sensors
from datacosmos.sources.registry import configured
from datacosmos.store.stores import Stores

log = structlog.stdlib.get_logger(__name__)
DEMO_RATE, DEMO_FAULTY = 5.0, 0.05


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a started program can be found."""

    api: str
    calculation: str
    data_servers: Sequence[str] = ()
    simulated: bool = False


async def serve(settings: Settings, *, demo: bool, announce: Callable[[Addresses], None]) -> None:
    """Everything, with the embedded engines that are not configured. What writes and what calculates run beside it."""
    async with stop_signal() as stop, AsyncExitStack() as parts:
        listener = parts.enter_context(listen(settings.host, settings.port))
        settings = await with_embedded_engines(settings, parts)
        settings = await with_calculation(settings, parts)
        database, stores = await open_store(settings, parts)
        queue = await open_queue(settings, parts)
        await apply_shared_settings(settings, stores, queue)
        await beside("write", 1, settings, None, parts)
        if demo:
            await parts.enter_async_context(simulating_sensors(settings, queue, stop))
        simulated = demo and not settings.data_servers and "data_server_url" not in settings.model_fields_set
        if simulated:
            simulator = create_simulator(rate=DEMO_RATE, seed=None, faulty=DEMO_FAULTY)
            url = await parts.enter_async_context(serving(simulator, settings, host="127.0.0.1", port=0))
            settings = settings.model_copy(update={"data_server_url": url})
        pollers = await parts.enter_async_context(polling(configured(settings), queue, grace=settings.stop_grace))
        calculation = await reach_calculation(settings, parts)
        checks = {"store": store_check(database), "queue": queue_check(queue)} | poller_checks(pollers)
        checks |= {"writer": writer_check(queue), "calculation": calculation_check(calculation)}
        if settings.api_workers == 1:
            await _serve_api(listener, settings, stores, calculation, checks, queue, parts)
        else:
            await watched(settings, checks, queue, parts)
            await beside("api", settings.api_workers, settings, listener, parts)
        polled = [poller.polled.address for poller in pollers]
        announce(Addresses(address_of(listener), settings.calculation_url, polled, simulated))
        await stop.wait()


async def api(settings: Settings, *, descriptor: int | None, announce: Callable[[Addresses], None]) -> None:
    """The API alone, on given engines or those of a running serve; as one of several where a descriptor is given."""
    async with stop_signal(aside=descriptor is not None) as stop, AsyncExitStack() as parts:
        listener = parts.enter_context(listener_of(descriptor, settings.host, settings.port))
        settings = with_running_engines(settings)
        if descriptor is not None or settings.api_workers == 1:
            database, stores = await open_store(settings, parts)
            queue = await open_queue(settings, parts)
            calculation = await reach_calculation(settings, parts)
            checks = {"store": store_check(database), "queue": queue_check(queue), "writer": writer_check(queue)}
            checks |= {"calculation": calculation_check(calculation)}
            await _serve_api(listener, settings, stores, calculation, checks, queue, parts)
        else:
            await beside("api", settings.api_workers, settings, listener, parts)
        announce(Addresses(address_of(listener), settings.calculation_url))
        await stop.wait()


async def ingest(settings: Settings) -> None:
    """The pollers alone."""
    async with stop_signal() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, mongodb=False)
        queue = await open_queue(settings, parts)
        pollers = await parts.enter_async_context(polling(configured(settings), queue, grace=settings.stop_grace))
        await watched(settings, {"queue": queue_check(queue)} | poller_checks(pollers), queue, parts)
        for poller in pollers:
            log.info("polling", source=poller.source.name, url=poller.polled.address)
        await stop.wait()


async def ingest_sensors(
    settings: Settings, file: BinaryIO, *, force: bool, show: Callable[[str], None]
) -> Tally | None:
    """Sensors' records onto the queue, and what became of them; None where not all of them could be brought there."""
    async with stop_signal() as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, mongodb=False)
        queue = await open_queue(settings, parts)
        await watched(settings, {"queue": queue_check(queue)}, queue, parts)
        stop.awaited = True  # from here on a stop ends between two batches
        progress = Progress(show, asyncio.get_running_loop().time)
        tally = await ingest_lines(
            file,
            queue,
            sensors.source(settings),
            stopping=stop,
            progress=progress.note,
            waiting=progress.waiting,
            force=force,
        )
        ended = f"interrupted: all is durable up to line {tally.last_line}" if stop.is_set() else "all is durable"
        show(f"{tally}; {ended}")
        return None if stop.is_set() else tally
    return None


async def simulate_data_server(
    settings: Settings, simulator: ASGIApp, *, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """The stand-in for a data server."""
    async with stop_signal() as stop, serving(simulator, settings, host=host, port=port) as address:
        announce(address)
        await stop.wait()


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


async def reach_calculation(settings: Settings, parts: AsyncExitStack) -> Calculation:
    issuer, timeout = load_issuer(settings), settings.calculation_timeout
    return await parts.enter_async_context(client.connect(settings.calculation_url, issuer=issuer, timeout=timeout))


async def _serve_api(
    listener: socket.socket,
    settings: Settings,
    stores: Stores,
    calculation: Calculation,
    checks: Mapping[str, HealthCheck],
    queue: Queue,
    parts: AsyncExitStack,
) -> None:
    locations.load_zones()
    feed = Feed(settings, stores.changes, load_secret(settings))
    app = create_app(
        settings,
        stores=stores,
        calculation=calculation,
        intake=Intake(queue.publish, lambda: ledgers(configured(settings), queue, stores.points, stores.receipts)),
        issuers=[load_issuer(settings)],
        feed=feed,
        health=checks,
        refresh=[lambda: show_queue(queue), lambda: show_window(stores.changes)],
    )
    gc.freeze()  # what stands now stands for good: no collection need look at it again
    await parts.enter_async_context(serving_on(listener, app, settings, websockets=(PATH,)))
    parts.callback(feed.stop)  # before the server, which waits for what it serves
