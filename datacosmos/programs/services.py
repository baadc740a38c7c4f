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

from datacosmos.api.app import create_app, create_health_app
from datacosmos.api.feed.feed import Feed
from datacosmos.api.intake import Intake
from datacosmos.auth.secret import load_issuer, load_secret
from datacosmos.calculation.client import Calculation
from datacosmos.http.health import HealthCheck
from datacosmos.pipeline.ledger import ledgers
from datacosmos.pipeline.lines import Progress, Tally, ingest_lines
from datacosmos.pipeline.poller import polling
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.summariser import summarising
from datacosmos.pipeline.sweeper import sweeping
from datacosmos.programs.checks import (
    calculation_check,
    poller_checks,
    queue_check,
    show_queue,
    show_window,
    store_check,
    writer_check,
)
from datacosmos.programs.lifetime import stop_signal
from datacosmos.programs.parts import (
    apply_shared_settings,
    beside,
    calculating,
    open_queue,
    open_store,
    reach_calculation,
    simulating_sensors,
    with_calculation,
    with_embedded_engines,
    with_running_engines,
    writing,
)
from datacosmos.programs.server import address_of, listen, serving, serving_on
from datacosmos.settings import Settings
from datacosmos.simulators.data_server import create_simulator
from datacosmos.sources import locations, sensors
from datacosmos.sources.registry import configured
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from datacosmos.store.summaries.checking import differences

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
        listener = parts.enter_context(_socket(descriptor, settings.host, settings.port))
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


async def write(settings: Settings, *, aside: bool) -> None:
    """The writer alone, as one of any number; `aside` where a `serve` has it, and does all that one is enough for."""
    async with stop_signal(aside=aside) as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings)
        database, stores = await open_store(settings, parts)
        queue = await open_queue(settings, parts)
        if not aside:
            await apply_shared_settings(settings, stores, queue)
        await parts.enter_async_context(writing(settings, queue, stores, stop))
        await parts.enter_async_context(sweeping(stores.series))
        await parts.enter_async_context(summarising(Builder(database, stores.summaries)))
        if not aside:
            checks = {"store": store_check(database), "queue": queue_check(queue), "writer": writer_check(queue)}
            await watched(settings, checks, queue, parts)
            log.info("writing", database=settings.mongodb_database)
        await stop.wait()


async def summarise(settings: Settings, *, check: bool, show: Callable[[str], None]) -> int | None:
    """Bring the summaries up to the points, and, to `check`, show each that differs from them.

    Returns how many do; None where it was stopped before all were looked at.
    """
    async with stop_signal(), AsyncExitStack() as parts:
        settings = with_running_engines(settings, nats=False)
        database, stores = await open_store(settings, parts)
        if await Builder(database, stores.summaries).catch_up() is None:
            show("a running service is at it: what it has not come to yet is left to it")
        differing = 0
        if check:
            async for difference in differences(stores.summaries):
                show(difference)
                differing += 1
        return differing
    return None


async def calculation(settings: Settings, *, descriptor: int | None, announce: Callable[[str], None]) -> None:
    """The Calculation service, in as many processes as are set; as one of them where a descriptor is given."""
    async with stop_signal(aside=descriptor is not None) as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings, nats=False)
        listener = parts.enter_context(_socket(descriptor, settings.host, settings.calculation_port))
        if descriptor is not None or settings.calculation_workers == 1:
            await parts.enter_async_context(calculating(settings, listener, stop))
        else:
            await beside("calculation", settings.calculation_workers, settings, listener, parts)
        announce(address_of(listener))
        await stop.wait()


async def simulate_data_server(
    settings: Settings, simulator: ASGIApp, *, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """The stand-in for a data server."""
    async with stop_signal() as stop, serving(simulator, settings, host=host, port=port) as address:
        announce(address)
        await stop.wait()


def _socket(descriptor: int | None, host: str, port: int) -> socket.socket:
    """The one that a parent of ours opened, or else our own."""
    return listen(host, port) if descriptor is None else socket.socket(fileno=descriptor)


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
    await parts.enter_async_context(serving_on(listener, app, settings))
    parts.callback(feed.stop)  # before the server, which waits for what it serves


async def watched(settings: Settings, checks: Mapping[str, HealthCheck], queue: Queue, parts: AsyncExitStack) -> None:
    """Health and metrics for a program without an API, where a port is set for them."""
    if settings.health_port is not None:
        app = create_health_app(health=checks, refresh=[lambda: show_queue(queue)])
        await parts.enter_async_context(serving(app, settings, host=settings.host, port=settings.health_port))
