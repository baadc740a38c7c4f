"""Adds up, source by source, what was received and what became of it."""

from collections.abc import Iterable

from datacosmos.domain.ledger import SourceLedger
from datacosmos.domain.points import Reason
from datacosmos.pipeline.queue import Queue
from datacosmos.sources.source import Source
from datacosmos.store.points.points import Points
from datacosmos.store.points.receipts import Receipts


async def ledgers(sources: Iterable[Source], queue: Queue, points: Points, receipts: Receipts) -> list[SourceLedger]:
    """First of the given sources, then of all others that ever sent something: in other settings, or another version.

    What moves meanwhile from the queue to the store may be counted in both, but never in neither.
    """
    known = [source.name for source in sources]
    found = await queue.sources() | await points.sources() | await receipts.sources()
    return [await _ledger(source, queue, points, receipts) for source in [*known, *sorted(found - set(known))]]


async def _ledger(source: str, queue: Queue, points: Points, receipts: Receipts) -> SourceLedger:
    flight = await queue.in_flight(source)
    dead = await queue.dead_letters(source)
    accepted = await points.count(source, None)
    discarded = {reason: await points.count(source, reason) for reason in Reason}
    left = await receipts.total(source)
    # A source either leaves a receipt for each delivery, or never: then each of its points is a delivery.
    alone = 0 if left.deliveries else accepted + sum(discarded.values())
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
