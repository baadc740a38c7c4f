"""Polls the data server by an APScheduler job and puts each reading on the queue before it asks for the next."""

# pyright: reportUnknownMemberType=false
# APScheduler 3 carries no types.

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import structlog
import uuid_utils
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from datacosmos import observability as metrics
from datacosmos.domain.points import Delivery, Point
from datacosmos.domain.rules import judge
from datacosmos.errors import DataServerDown, QueueFull, QueueUnavailable
from datacosmos.pipeline.backoff import backoff
from datacosmos.pipeline.insist import insist
from datacosmos.pipeline.queue import Queue
from datacosmos.setting_types import without_userinfo
from datacosmos.settings import Settings
from datacosmos.sources import data_server

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What the data server handed over; `broken` says why the body isn't whole."""

    body: bytes
    broken: str | None = None


async def fetch(client: httpx.AsyncClient, url: str, timeout: timedelta) -> Served | None:
    """Ask for one point; None where there is none now. Once a 200 has come, whatever arrived of the body counts."""
    body = bytearray()
    status = 0
    try:
        async with asyncio.timeout(timeout.total_seconds()), client.stream("GET", url) as response:
            status = response.status_code
            if status == 200:
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > data_server.MAX_BODY:
                        return Served(bytes(body), f"the body is longer than {data_server.MAX_BODY} bytes")
    except (httpx.HTTPError, TimeoutError) as error:
        fault = str(error) or f"{type(error).__name__} after {timeout.total_seconds():g} s"
        if status != 200:
            raise DataServerDown(fault) from error
        return Served(bytes(body), f"the body broke off: {fault}")
    if status == 200:
        return Served(bytes(body))
    if status == 404:
        return None
    raise DataServerDown(f"it answered {status}")


@asynccontextmanager
async def polling(settings: Settings, queue: Queue) -> AsyncGenerator["Poller"]:
    """A poller at work until the end of the block."""
    # Asked for as it is, the body needs no unpacking: what is kept as raw is what was sent.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    timeout = settings.data_server_timeout.total_seconds()
    # No proxy of the environment's: its own answers would pass for the data server's.
    async with httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as client:
        poller = Poller(settings, queue=queue, client=client)
        async with poller.running():
            yield poller


class Poller:
    """What /health shows: `asked` once the data server has answered, `fault` while it is down, `paused` while the
    queue can't take more."""

    def __init__(
        self,
        settings: Settings,
        *,
        queue: Queue,
        client: httpx.AsyncClient,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._client = client
        self._clock = clock
        self._rules = data_server.rules(settings.max_age, settings.max_lead)
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        # The job sleeps while it runs, so there are never two; but when it is woken at the end of a long run, the
        # scheduler's books may still hold that run, and a limit of one would log a warning.
        self._job = self._scheduler.add_job(
            self._run,
            "interval",
            seconds=settings.poll_interval.total_seconds(),
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
            max_instances=2,
        )
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = asyncio.Event()
        self._failures = 0
        self.asked = False
        self.fault: str | None = None
        self.paused: str | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Poll until the end of the block; a drain under way may finish, within the grace period."""
        self._scheduler.start()
        try:
            yield
        finally:
            self._scheduler.pause()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.stop_grace.total_seconds()):
                    await self._idle.wait()
            self._stopping.set()
            await self._idle.wait()
            self._scheduler.shutdown(wait=False)

    async def _run(self) -> None:
        """One run of the job, which then is told when to go on."""
        self._job.pause()
        self._idle.clear()
        loop = asyncio.get_running_loop()
        began = loop.time()
        pause = self._settings.poll_interval
        try:
            await self._drain()
            self._failures = 0
        except DataServerDown as error:
            pause = self._back_off()
            self._note_down(str(error))
        except Exception:
            pause = self._back_off()
            log.exception("polling failed")
        finally:
            self._idle.set()
        # Not a time given to the scheduler: it would come an hour late where the clock is set back by an hour.
        loop.call_at(began + pause.total_seconds(), self._wake)

    def _wake(self) -> None:
        if not self._stopping.is_set():
            self._job.modify(next_run_time=datetime.now(UTC))

    async def _drain(self) -> None:
        """Take readings until there are none, the limit is reached, the queue can't take more, or we stop."""
        for _ in range(self._settings.poll_limit):
            if self._stopping.is_set() or not await self._may_take():
                return
            try:
                served = await fetch(self._client, self._settings.data_server_url, self._settings.data_server_timeout)
            except DataServerDown:
                metrics.POLLS.labels("failed").inc()
                raise
            self._note_up()
            metrics.POLLS.labels("empty" if served is None else "point").inc()
            if served is None:
                return
            await self._keep(self._receive(served))

    def _receive(self, served: Served) -> Delivery:
        received_at = self._clock()
        reading = data_server.parse(served.body, broken=served.broken)
        verdict = judge(reading, received_at, self._rules)
        delivery_id = str(uuid_utils.uuid7())
        point = Point(id=delivery_id, reading=reading, verdict=verdict, received_at=received_at)
        return Delivery(id=delivery_id, source=data_server.SOURCE, received_at=received_at, points=(point,))

    async def _keep(self, delivery: Delivery) -> None:
        """Put it durably on the queue, however often that must be tried: it exists nowhere else any more."""
        if not await insist(self._queue, delivery, stopping=self._stopping, waiting=self._note_paused):
            self._give_up(delivery)
            return
        self._note_resumed()

    def _give_up(self, delivery: Delivery) -> None:
        raw = b"".join(point.reading.raw for point in delivery.points)
        log.critical(
            "stopped while the queue was away: one reading is lost but for this line",
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
        first, most = self._settings.poll_interval, self._settings.poll_backoff_max
        self._failures += 1
        return timedelta(seconds=backoff(self._failures - 1, first=first, most=max(first, most)))

    def _note_up(self) -> None:
        if self.fault is not None:
            log.info("data server is back", url=without_userinfo(self._settings.data_server_url))
        self.asked, self.fault = True, None
        metrics.DATA_SERVER_UP.set(1)

    def _note_down(self, fault: str) -> None:
        if self.fault is None:
            log.warning("data server is down", url=without_userinfo(self._settings.data_server_url), error=fault)
        self.fault = fault
        metrics.DATA_SERVER_UP.set(0)

    def _note_paused(self, fault: str) -> None:
        if self.paused is None:
            log.warning("polling pauses: nothing is taken that can't be kept", error=fault)
        self.paused = fault

    def _note_resumed(self) -> None:
        if self.paused is not None:
            log.info("polling resumes")
        self.paused = None
