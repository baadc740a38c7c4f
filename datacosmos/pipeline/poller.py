"""Polls each data server by an APScheduler job of its own, side by side.

A reading is put on the queue before that server is asked for the next.
"""

# pyright: reportUnknownMemberType=false
# APScheduler 3 carries no types.

import asyncio
import base64
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx
import structlog
import uuid_utils
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from datacosmos import observability as metrics
from datacosmos.domain.points import Delivery, Reason
from datacosmos.errors import DataServerDown, QueueFull, QueueUnavailable
from datacosmos.pipeline.fetching import Served, fetch
from datacosmos.pipeline.publishing import publish_durably
from datacosmos.pipeline.queue import Queue
from datacosmos.retries import Backoff
from datacosmos.sources.source import Polled, Source

MOST_MALFORMED = 10  # readings in a row, after which a server is asked no faster than one that fails
log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def polling(
    sources: Iterable[Source],
    queue: Queue,
    *,
    grace: timedelta,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncGenerator[list["Poller"]]:
    """A poller at work for each source that is polled, until the end of the block.

    A drain under way may then finish, within the grace period.
    """
    scheduler = AsyncIOScheduler(timezone=UTC)
    trusted = httpx.create_ssl_context(trust_env=False)
    async with AsyncExitStack() as clients:
        pollers: list[Poller] = []
        for source in sources:
            if source.polled is not None:
                client = await clients.enter_async_context(client_of(source.polled, trusted))
                poller = Poller(source, source.polled, queue=queue, client=client, scheduler=scheduler, clock=clock)
                pollers.append(poller)
        scheduler.start()
        try:
            yield pollers
        finally:
            scheduler.pause()
            await asyncio.gather(*(poller.stop(grace) for poller in pollers))
            scheduler.shutdown(wait=False)


def client_of(polled: Polled, trusted: ssl.SSLContext) -> httpx.AsyncClient:
    """A client of its own for each source: neither connections nor cookies are shared."""
    # Asked for as it is, the body needs no unpacking: what is kept as raw is what was sent.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    # No proxy of the environment's: its own answers would pass for the data server's.
    return httpx.AsyncClient(headers=headers, timeout=polled.timeout.total_seconds(), verify=trusted, trust_env=False)


class Poller:
    """Polls one source. What /health shows: `asked` once it has answered, `fault` while it is down, `since` when either
    is so, `paused` while the queue can't take more."""

    def __init__(
        self,
        source: Source,
        polled: Polled,
        *,
        queue: Queue,
        client: httpx.AsyncClient,
        scheduler: AsyncIOScheduler,
        clock: Callable[[], datetime],
    ) -> None:
        self.source = source
        self.polled = polled
        self._queue = queue
        self._client = client
        self._clock = clock
        self._log = log.bind(source=source.name)
        # The job sleeps while it runs, so there are never two; but when it is woken at the end of a long run, the
        # scheduler's books may still hold that run, and a limit of one would log a warning.
        self._job = scheduler.add_job(
            self._run,
            "interval",
            seconds=polled.interval.total_seconds(),
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
            max_instances=2,
        )
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = asyncio.Event()
        self._backoff = Backoff(polled.interval, max(polled.interval, polled.backoff_max))
        self._failures = 0
        self._malformed = 0  # readings in a row
        self.asked = False
        self.fault: str | None = None
        self.since: datetime | None = None
        self.paused: str | None = None
        metrics.DATA_SERVER_UP.labels(source.name).set(0)

    async def stop(self, grace: timedelta) -> None:
        """Returns once no reading is in hand; a drain under way may finish, within the grace period."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace.total_seconds()):
                await self._idle.wait()
        self._stopping.set()
        await self._idle.wait()

    async def _run(self) -> None:
        """One run of the job, which then is told when to go on."""
        self._job.pause()
        self._idle.clear()
        loop = asyncio.get_running_loop()
        began = loop.time()
        pause = self.polled.interval
        try:
            await self._drain()
            self._failures = 0
        except DataServerDown as error:
            pause = self._back_off()
            self._note_down(str(error))
        except Exception:
            pause = self._back_off()
            log.exception("polling failed", source=self.source.name)
        finally:
            self._idle.set()
        # Not a time given to the scheduler: it would come an hour late where the clock is set back by an hour.
        loop.call_at(began + pause.total_seconds(), self._wake)

    def _wake(self) -> None:
        if not self._stopping.is_set():
            self._job.modify(next_run_time=datetime.now(UTC))

    async def _drain(self) -> None:
        """Take readings until there are none, the limit is reached, the queue can't take more, or we stop."""
        for _ in range(self.polled.limit):
            if self._stopping.is_set() or not await self._may_take():
                return
            try:
                served = await fetch(self._client, self.source, self.polled)
            except DataServerDown:
                metrics.POLLS.labels(self.source.name, "failed").inc()
                raise
            metrics.POLLS.labels(self.source.name, "empty" if served is None else "point").inc()
            if served is None:
                self._malformed = 0
                self._note_up()
                return
            delivery = self._receive(served)
            fault = served.broken or self._many_malformed(delivery)
            if fault is None:
                self._note_up()
            await self._keep(delivery)
            if fault is not None:  # no more is taken in a hurry from a server that fails
                raise DataServerDown(fault)

    def _many_malformed(self, delivery: Delivery) -> str | None:
        malformed = all(point.verdict.reason is Reason.MALFORMED for point in delivery.points)
        self._malformed = self._malformed + 1 if malformed else 0
        if self._malformed < MOST_MALFORMED:
            return None
        return f"the last {self._malformed} readings were malformed"

    def _receive(self, served: Served) -> Delivery:
        received_at = self._clock()
        reading = self.source.read(served.body, served.broken)
        return self.source.judged([reading], str(uuid_utils.uuid7()), received_at)

    async def _keep(self, delivery: Delivery) -> None:
        """Put it durably on the queue, however often that must be tried: it exists nowhere else any more."""
        if not await publish_durably(self._queue, delivery, stopping=self._stopping, waiting=self._note_paused):
            self._log_lost(delivery)
            return
        self._note_resumed()

    def _log_lost(self, delivery: Delivery) -> None:
        raw = b"".join(point.reading.raw for point in delivery.points)
        self._log.critical(
            "stopped while the queue was unavailable: one reading is lost but for this line",
            received_at=delivery.received_at.isoformat(),
            raw_base64=base64.b64encode(raw).decode(),
        )

    async def _may_take(self) -> bool:
        try:
            await self._queue.check_room()
        except (QueueFull, QueueUnavailable) as error:
            self._note_paused(str(error))
            return False
        self._note_resumed()
        return True

    def _back_off(self) -> timedelta:
        self._failures += 1
        return timedelta(seconds=self._backoff.seconds(self._failures - 1))

    def _note_up(self) -> None:
        if self.fault is not None:
            self._log.info("data server is back", url=self.polled.address)
        if self.fault is not None or not self.asked:
            self.since = self._clock()
        self.asked, self.fault = True, None
        metrics.DATA_SERVER_UP.labels(self.source.name).set(1)

    def _note_down(self, fault: str) -> None:
        if self.fault is None:
            self._log.warning("data server is down", url=self.polled.address, error=fault)
            self.since = self._clock()
        self.fault = fault
        metrics.DATA_SERVER_UP.labels(self.source.name).set(0)

    def _note_paused(self, fault: str) -> None:
        if self.paused is None:
            self._log.warning("polling pauses: nothing is taken that can't be kept", error=fault)
        self.paused = fault

    def _note_resumed(self) -> None:
        if self.paused is not None:
            self._log.info("polling resumes")
        self.paused = None
