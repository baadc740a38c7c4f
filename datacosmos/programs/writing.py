"""The programs that write to the store, and need no more than it and the queue."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.summariser import summarising
from datacosmos.pipeline.sweeper import sweeping
from datacosmos.pipeline.writer import Writer
from datacosmos.programs.checks import queue_check, store_check, writer_check
from datacosmos.programs.endpoints import with_running_engines
from datacosmos.programs.lifetime import stop_signal
from datacosmos.programs.parts import apply_shared_settings, open_queue, open_store, watched
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from datacosmos.store.summaries.checking import differences

log = structlog.stdlib.get_logger(__name__)


async def write(settings: Settings, *, aside: bool) -> None:
    """The writer alone, as one of any number; `aside` where a `serve` has it, and does all that one is enough for."""
    async with stop_signal(aside=aside) as stop, AsyncExitStack() as parts:
        settings = with_running_engines(settings)
        database, stores = await open_store(settings, parts)
        queue = await open_queue(settings, parts)
        if not aside:
            await apply_shared_settings(settings, stores, queue)
        await parts.enter_async_context(_writing(settings, queue, stores, stop))
        await parts.enter_async_context(sweeping(stores.series))
        await parts.enter_async_context(summarising(Builder(database, stores.summaries)))
        if not aside:
            checks = {"store": store_check(database), "queue": queue_check(queue), "writer": writer_check(queue)}
            await watched(settings, checks, queue, parts)
            log.info("writing", database=settings.mongodb_database)
        await stop.wait()


@asynccontextmanager
async def _writing(settings: Settings, queue: Queue, stores: Stores, stop: asyncio.Event) -> AsyncGenerator[None]:
    writer = Writer(settings, queue=queue, stores=stores)
    task = asyncio.create_task(writer.run())
    task.add_done_callback(lambda _: stop.set())  # without it the program would take in and never write
    try:
        yield
    finally:
        writer.stop()
        await task


async def summarise(settings: Settings, *, check: bool, mend: bool, show: Callable[[str], None]) -> int | None:
    """Bring the summaries up to the points. To `check`, show each that differs; to `mend`, build it anew, too.

    Returns how many differ; None where it was stopped before all were looked at.
    """
    async with stop_signal(), AsyncExitStack() as parts:
        settings = with_running_engines(settings, nats=False)
        database, stores = await open_store(settings, parts)
        builder, summaries = Builder(database, stores.summaries), stores.summaries
        if await builder.catch_up() is None:
            show("a running service is at it: what it has not come to yet is left to it")
        differing = 0
        if check or mend:
            async for difference in differences(summaries):
                show(str(difference))
                differing += 1
                if mend:  # from here on its points are read, whoever comes to build it
                    await summaries.marks.add({difference.key: difference.minutes})
        if differing and mend:
            await builder.catch_up()
        return differing
    return None
