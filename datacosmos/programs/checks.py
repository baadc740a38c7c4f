"""What each program's /health asks after, and the gauges it brings up to date."""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import nan
from typing import TYPE_CHECKING

from datacosmos import observability as metrics
from datacosmos.errors import DataServerDown, QueueFull
from datacosmos.http.health import Degraded, HealthCheck
from datacosmos.store.mongo.connection import Database, ping

if TYPE_CHECKING:  # what a program doesn't run, it needn't import
    from datacosmos.calculation.client import Calculation
    from datacosmos.calculation.pool import Pool
    from datacosmos.pipeline.poller import Poller
    from datacosmos.pipeline.queue import Queue
    from datacosmos.store.changes.changes import Changes

LATE = 30.0  # seconds


def store_check(database: Database) -> HealthCheck:
    async def ask() -> str:
        await ping(database)
        return "takes writes"

    return HealthCheck(ask)


def queue_check(queue: "Queue") -> HealthCheck:
    async def ask() -> str:
        state = await queue.state()
        await queue.check_room()  # by that state
        if state.dead_letters_full:
            raise QueueFull("the dead-letter stream is nearly full: look at its messages and remove some")
        return (
            f"received {state.received}, of which queued {state.messages}, dead-lettered {state.dead_lettered}; "
            f"{state.bytes} of {state.max_bytes} bytes full"
        )

    return HealthCheck(ask)


def writer_check(queue: "Queue") -> HealthCheck:
    """By the queue, so that every program can tell, wherever the writers are. Data is taken in even where none is."""

    async def ask() -> str:
        seconds = await _unwritten_for(queue)
        if seconds is None:
            return "all is written"
        waits = f"the oldest unwritten message has waited for {seconds:.0f} s"
        if seconds > LATE:
            raise Degraded(f"{waits}: the writer's log tells why")
        return waits

    return HealthCheck(ask, critical=False)


async def _unwritten_for(queue: "Queue") -> float | None:
    """Seconds since the oldest message that is still on the queue came there."""
    oldest = await queue.oldest()
    return oldest and max(0.0, (datetime.now(UTC) - oldest).total_seconds())


def poller_checks(pollers: Iterable["Poller"]) -> dict[str, HealthCheck]:
    return {poller.source.name: poller_check(poller) for poller in pollers}


def poller_check(poller: "Poller") -> HealthCheck:
    """A data server that is down is no fault of ours."""

    async def ask() -> str:
        since = f"since {poller.since:%Y-%m-%dT%H:%M:%SZ}" if poller.since else ""
        if poller.fault is not None:
            raise DataServerDown(f"{poller.fault}; down {since}")
        if poller.paused:
            return f"polling pauses: {poller.paused}"
        return f"answers {since}" if poller.asked else "not asked yet"

    return HealthCheck(ask, critical=False)


def calculation_check(calculation: "Calculation") -> HealthCheck:
    """Without it the API takes and gives all but averages, metrics and forecasts."""

    async def ask() -> str:
        await calculation.ping()
        return "answers"

    return HealthCheck(ask, critical=False)


def pool_check(pool: "Pool") -> HealthCheck:
    async def ask() -> str:
        return pool.check()

    return HealthCheck(ask, critical=False)


async def show_queue(queue: "Queue") -> None:
    state = await queue.state()
    metrics.QUEUED.set(state.messages)
    metrics.QUEUED_BYTES.set(state.bytes)
    metrics.QUEUE_RECEIVED.set(state.received)
    metrics.QUEUE_DEAD_LETTERED.set(state.dead_lettered)
    metrics.UNWRITTEN_OLDEST.set(await _unwritten_for(queue) or 0)


async def show_window(changes: "Changes") -> None:
    window = await changes.window()
    metrics.CHANGES_WINDOW.set(nan if window is None else window)
