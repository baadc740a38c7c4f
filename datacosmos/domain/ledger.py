"""What became of all that a source ever sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from datacosmos.domain.points import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLedger:
    """Readings of one source; `messages` are the deliveries they came in, those dead-lettered included.

    `discarded` is by primary reason. Over all sources the messages add up to the queue's own durable sequence.
    """

    source: str
    messages: int
    recorded: int
    accepted: int
    discarded: Mapping[Reason, int]
    in_flight: int
    dead_lettered: int
    oldest_in_flight: datetime | None

    @property
    def received(self) -> int:
        """Recorded in the store, by receipt; still on the queue; or put aside."""
        return self.recorded + self.in_flight + self.dead_lettered
