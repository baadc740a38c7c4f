"""What each program's /health asks after, and the gauges it brings up to date."""

from datacosmos import observability as metrics
from datacosmos.calculation.client import Calculation
from datacosmos.calculation.pool import Pool
from datacosmos.errors import DataServerDown, QueueFull
from datacosmos.http.health import HealthCheck
from datacosmos.pipeline.poller import Poller
from datacosmos.pipeline.queue import Queue
from datacosmos.store.connection import Database, ping


def store_check(database: Database) -> HealthCheck:
    async def ask() -> str:
        await ping(database)
        return "takes writes"

    return HealthCheck(ask)


def queue_check(queue: Queue) -> HealthCheck:
    async def ask() -> str:
        await queue.check_room()
        state = await queue.state()
        if state.dead_letters_full:
            raise QueueFull("the dead-letter stream is nearly full: look at its messages and remove some")
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


def calculation_check(calculation: Calculation) -> HealthCheck:
    """Without it the API takes and gives all but averages, metrics and forecasts."""

    async def ask() -> str:
        await calculation.ping()
        return "answers"

    return HealthCheck(ask, critical=False)


def pool_check(pool: Pool) -> HealthCheck:
    async def ask() -> str:
        return pool.check()

    return HealthCheck(ask, critical=False)


async def show_queue(queue: Queue) -> None:
    state = await queue.state()
    metrics.QUEUED.set(state.messages)
    metrics.QUEUED_BYTES.set(state.bytes)
    metrics.QUEUE_RECEIVED.set(state.received)
    metrics.QUEUE_DEAD_LETTERED.set(state.dead_lettered)
