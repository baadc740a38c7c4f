"""The parts that programs are made of, each opened on the caller's stack."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from datacosmos.http.health import HealthCheck
from datacosmos.pipeline import queue as queues
from datacosmos.pipeline.queue import Queue
from datacosmos.programs.checks import show_queue
from datacosmos.programs.lifetime import patiently
from datacosmos.settings import Settings
from datacosmos.store.mongo import connection
from datacosmos.store.mongo.connection import Database
from datacosmos.store.stores import Stores


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


async def watched(settings: Settings, checks: Mapping[str, HealthCheck], queue: Queue, parts: AsyncExitStack) -> None:
    """Health and metrics for a program without an API, where a port is set for them."""
    if settings.health_port is not None:
        from datacosmos.http.health_routes import create_health_app  # noqa: PLC0415 - a fifth of a writer
        from datacosmos.programs.server import serving  # noqa: PLC0415

        app = create_health_app(health=checks, refresh=[lambda: show_queue(queue)])
        await parts.enter_async_context(serving(app, settings, host=settings.host, port=settings.health_port))
