"""Takes deliveries from the queue and brings them to the store; any number of writers may run at once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import structlog

from datacosmos import observability as metrics
from datacosmos.domain.points import Delivery, Point, Reading, Reason, Receipt, Verdict
from datacosmos.errors import QueueFull, QueueUnavailable, StoreUnavailable
from datacosmos.pipeline.queue import ACK_WAIT, Consumer, Queue, Taken
from datacosmos.retries import Backoff, retry
from datacosmos.settings import Settings
from datacosmos.store.points.inserts import Written
from datacosmos.store.stores import Stores

log = structlog.stdlib.get_logger(__name__)
FIRST_PAUSE = timedelta(milliseconds=100)
IDLE = timedelta(seconds=1)


class Writer:
    """Acknowledges a message only after the store has confirmed all of it."""

    def __init__(self, settings: Settings, *, queue: Queue, stores: Stores) -> None:
        self._settings = settings
        self._queue = queue
        self._points, self._receipts, self._summaries = stores.points, stores.receipts, stores.summaries
        self._backoff = Backoff(FIRST_PAUSE, settings.write_backoff_max)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Write until stop(); what is then under way is finished, or stays on the queue."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._settings.write_workers):
                workers.create_task(self._work())

    def stop(self) -> None:
        self._stopping.set()

    async def _work(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                async with self._queue.consume() as consumer:
                    failures = 0
                    await self._consume(consumer)
            except QueueUnavailable as error:
                if failures == 0:
                    log.warning("writer waits for the queue", error=str(error))
                await self._backoff.pause(failures, self._stopping)
                failures += 1

    async def _consume(self, consumer: Consumer) -> None:
        while not self._stopping.is_set():
            if batch := await consumer.take(self._settings.write_batch, wait=IDLE):
                async with _kept(batch):
                    await self._write(batch)
            else:
                await self._queue.deliver_left_over()

    async def _write(self, batch: Sequence[Taken]) -> None:
        began = time.monotonic()
        written = await self._store_or_stop([taken.delivery for taken in batch if taken.delivery])
        if written is None:
            for taken in batch:
                await taken.give_back()
            return
        for taken in batch:
            try:
                await self._conclude(taken, written)
            except QueueFull as error:  # only of dead letters: this one comes again, the others go on
                log.warning("message can't be put aside", error=str(error))
        _count(written, time.monotonic() - began)

    async def _store_or_stop(self, deliveries: Sequence[Delivery]) -> Written | None:
        """Store the deliveries, however long that takes; None where we are to stop first."""
        written, failures = Written(), 0

        def failed(error: Exception, before: int) -> None:
            nonlocal failures
            failures = before + 1
            metrics.WRITE_RETRIES.inc()
            if not isinstance(error, StoreUnavailable):
                log.error("a batch can't be written", deliveries=len(deliveries), failures=before, exc_info=error)
            elif before == 0:
                log.warning("writer waits for the store", error=str(error), deliveries=len(deliveries))

        try:
            # Whatever the error, the batch stays on the queue until it succeeds: nothing is dropped.
            await retry(
                lambda: self._store(deliveries, written),
                self._backoff,
                on=Exception,
                failed=failed,
                stopping=self._stopping,
            )
        except Exception:  # noqa: BLE001  logged above
            return None
        if failures:
            log.info("writer goes on", failures=failures)
        return written

    async def _store(self, deliveries: Sequence[Delivery], written: Written) -> None:
        """Goes on from what is written already."""
        points = [point for delivery in deliveries for point in delivery.points]
        await self._points.add(points, written)
        with_receipt = [delivery for delivery in deliveries if delivery.needs_receipt]
        await self._replace_refused(with_receipt, written)
        were_there = set(written.redelivered)
        await self._summaries.note(written.stored, [point for point in points if point.id in were_there])
        if with_receipt:
            await self._leave_receipts(with_receipt, written)
        written.end_session()

    async def _replace_refused(self, deliveries: Sequence[Delivery], written: Written) -> None:
        """One reading of many that can't be written whole is kept as malformed, as raw as it came."""
        refused = [point for delivery in deliveries for point in delivery.points if point.id in written.refused]
        if not refused:
            return
        bare = [_bare(point, written.refused.pop(point.id)) for point in refused]
        again = await self._points.add(bare, Written(session=written.session))
        written.stored += again.stored
        written.redelivered += again.redelivered
        written.refused |= again.refused

    async def _leave_receipts(self, deliveries: Sequence[Delivery], written: Written) -> None:
        verdicts = {point.id: point.verdict for point in written.stored}
        if written.redelivered:
            verdicts |= await self._points.verdicts(written.redelivered)
        whole = [
            delivery for delivery in deliveries if not any(point.id in written.refused for point in delivery.points)
        ]
        await self._receipts.leave([Receipt.of(delivery, verdicts) for delivery in whole], written.session)

    async def _conclude(self, taken: Taken, written: Written) -> None:
        faults = [taken.fault] if taken.fault else []
        if taken.delivery is not None:
            faults += [written.refused[point.id] for point in taken.delivery.points if point.id in written.refused]
        if not faults:
            await taken.acknowledge()
            metrics.WRITTEN.inc()
            return
        faults = list(dict.fromkeys(faults))
        await taken.put_aside("; ".join(faults))
        metrics.DEAD_LETTERED.inc()
        log.error("message put aside", delivery=taken.delivery and taken.delivery.id, faults=faults)


@asynccontextmanager
async def _kept(batch: Sequence[Taken]) -> AsyncGenerator[None]:
    """Keep the batch ours for as long as the work takes."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(ACK_WAIT.total_seconds() / 3)
            with suppress(QueueUnavailable):  # then another writer may get it too, which changes nothing
                for taken in batch:
                    await taken.keep()

    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


def _bare(point: Point, fault: str) -> Point:
    reading = Reading(source=point.reading.source, faults=(fault,), raw=point.reading.raw)
    return replace(point, reading=reading, verdict=Verdict((Reason.MALFORMED,)))


def _count(written: Written, seconds: float) -> None:
    metrics.WRITE_SECONDS.observe(seconds)
    # Counted first: a metric's own step costs more than all the rest of a reading.
    for (source, reasons), count in Counter((p.reading.source, p.verdict.reasons) for p in written.stored).items():
        if reasons:
            metrics.DISCARDED.labels(source, reasons[0]).inc(count)
        else:
            metrics.ACCEPTED.labels(source).inc(count)
        if Reason.DUPLICATE in reasons:
            metrics.DUPLICATES.labels(source).inc(count)
    metrics.REDELIVERED.inc(len(written.redelivered))
