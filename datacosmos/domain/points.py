"""The records that travel from a source to the store."""

from dataclasses import dataclass
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
    `raw` is the payload as it was received; `identity` is set where the source names its readings.
    """

    source: str
    series: str | None = None
    time: datetime | None = None
    value: float | None = None
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
    """A judged reading under the id of its delivery: what the store keeps."""

    id: str
    reading: Reading
    verdict: Verdict
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What was received at once: one message on the queue.

    `id` is unique to one receipt, and the same after a redelivery by our own queue.
    """

    id: str
    source: str
    received_at: datetime
    points: tuple[Point, ...]
