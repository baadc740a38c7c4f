"""What the API may do with the queue, of which it knows no more than this."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from datacosmos.domain.ledger import SourceLedger
from datacosmos.sources.encoded import Encoded


@dataclass(frozen=True, slots=True)
class Intake:
    """`publish` returns once the delivery is durably on the queue. Both raise QueueUnavailable."""

    publish: Callable[[Encoded], Awaitable[None]]
    ledgers: Callable[[], Awaitable[Sequence[SourceLedger]]]
