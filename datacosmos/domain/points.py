"""The records that travel from a source to the store."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    ACCEPTED = "accepted"
    DISCARDED = "discarded"


class Reason(StrEnum):
    """Why a reading was discarded; the order of the members is their precedence."""

    MALFORMED = "malformed"
    TOO_OLD = "too_old"
    SYSTEM = "system"
    SUSPECT = "suspect"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One parsed payload, not yet judged.

    What could not be parsed is None (tags: left out), and `faults` says why, one sentence a fault.
    `raw` is the payload as it was received; `identity` is set where the source names its readings, and `sent_value`
    where it measures in another unit than the value's.
    """

    source: str
    series: str | None = None
    time: datetime | None = None
    value: float | None = None
    sent_value: float | None = None
    tags: tuple[str, ...] = ()
    identity: str | None = None
    faults: tuple[str, ...] = ()
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All reasons against a reading, in order of precedence; none means accepted."""

    reasons: tuple[Reason, ...] = ()

    @property
    def status(self) -> Status:
        return Status.DISCARDED if self.reasons else Status.ACCEPTED

    @property
    def reason(self) -> Reason | None:
        """The primary reason: the first by precedence."""
        return self.reasons[0] if self.reasons else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A judged reading under the id of its delivery: what the store keeps. A duplicate names the point that won."""

    id: str
    reading: Reading
    verdict: Verdict
    received_at: datetime
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What was received at once: one message on the queue.

    `id` is unique to one receipt, and the same after a redelivery by our own queue. `sender` is the subject of the
    token it came with, where there was one, and `sequence` the queue's own number for the message it was taken from.
    """

    id: str
    source: str
    received_at: datetime
    points: tuple[Point, ...]
    sender: str | None = None
    sequence: int = field(default=0, compare=False)

    @property
    def needs_receipt(self) -> bool:
        """A single point under the delivery's own id accounts for it; any other delivery leaves a receipt."""
        return [point.id for point in self.points] != [self.id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one delivery, by the message on the queue that brought it first."""

    delivery_id: str
    source: str
    sender: str | None
    received_at: datetime
    accepted: int
    discarded: Mapping[Reason, int]
    sequence: int = 0

    @classmethod
    def of(cls, delivery: Delivery, verdicts: Mapping[str, Verdict] | None = None) -> "Receipt":
        """By the verdicts under which the points are stored; without them, by those at receipt."""
        reasons = Counter(
            (point.verdict if verdicts is None else verdicts[point.id]).reason for point in delivery.points
        )
        return cls(
            delivery_id=delivery.id,
            source=delivery.source,
            sender=delivery.sender,
            received_at=delivery.received_at,
            accepted=reasons.pop(None, 0),
            discarded={reason: n for reason, n in reasons.items() if reason is not None},
            sequence=delivery.sequence,
        )

    @property
    def readings(self) -> int:
        return self.accepted + sum(self.discarded.values())
