"""Adds up, source by source, what was received and what became of it."""

from datacosmos.domain.ledger import SourceLedger
from datacosmos.domain.points import Reason
from datacosmos.pipeline.queue import Queue
from datacosmos.sources import data_server, sensors
from datacosmos.store.points import Points
from datacosmos.store.receipts import Receipts

SOURCES = (data_server.SOURCE, sensors.SOURCE)


async def ledgers(queue: Queue, points: Points, receipts: Receipts) -> list[SourceLedger]:
    """What moves meanwhile from the queue to the store may be counted in both, but never in neither."""
    return [await _ledger(source, queue, points, receipts) for source in SOURCES]


async def _ledger(source: str, queue: Queue, points: Points, receipts: Receipts) -> SourceLedger:
    flight = await queue.in_flight(source)
    dead = await queue.dead_letters(source)
    accepted = await points.count(source, None)
    discarded = {reason: await points.count(source, reason) for reason in Reason}
    left = await receipts.total(source)
    # A point under its delivery's own id is its own receipt.
    alone = accepted + sum(discarded.values()) if source == data_server.SOURCE else 0
    return SourceLedger(
        source=source,
        messages=left.deliveries + alone + flight.messages + dead.messages,
        recorded=left.readings + alone,
        accepted=accepted,
        discarded={reason: n for reason, n in discarded.items() if n},
        in_flight=flight.readings,
        dead_lettered=dead.readings,
        oldest_in_flight=flight.oldest,
    )
