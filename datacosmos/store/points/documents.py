"""A point as a document of the collection `points`, and back."""

import math
from functools import lru_cache

from datacosmos.domain.points import Point, Reading, Reason, Status, Verdict
from datacosmos.store.mongo.connection import Document

FIELDS = (
    "_id", "source", "series", "time", "value", "tags", "status", "reason",
    "reasons", "received_at", "raw", "faults", "duplicate_of", "identity", "sent_value",
)  # fmt: skip
"""In the order in which a document has them."""


@lru_cache
def in_order(fields: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in FIELDS if name in fields)


@lru_cache
def only(fields: frozenset[str]) -> Document:
    """The projection that leaves out all others."""
    return {"_id": int("_id" in fields)} | dict.fromkeys(fields, 1)


def to_document(point: Point) -> Document:
    reading = point.reading
    reasons = [reason.value for reason in point.verdict.reasons]
    document: Document = {
        "_id": point.id,
        "source": reading.source,
        "series": reading.series,
        "time": reading.time,
        "value": reading.value,
        "tags": list(reading.tags),
        "status": (Status.DISCARDED if reasons else Status.ACCEPTED).value,
        "reason": reasons[0] if reasons else None,
        "reasons": reasons,
        "received_at": point.received_at,
        "raw": reading.raw,
    }
    if reading.faults:
        document["faults"] = list(reading.faults)
    if point.duplicate_of is not None:
        document["duplicate_of"] = point.duplicate_of
    if reading.identity is not None:
        document["identity"] = reading.identity
    if reading.sent_value is not None:
        document["sent_value"] = reading.sent_value
    return document


def from_document(document: Document) -> Point:
    return Point(
        id=document["_id"],
        reading=Reading(
            source=document["source"],
            series=document["series"],
            time=document["time"],
            value=_finite(document["value"]),
            sent_value=document.get("sent_value"),
            tags=tuple(document["tags"]),
            identity=document.get("identity"),
            faults=tuple(document.get("faults", ())),
            raw=document.get("raw", b""),
        ),
        verdict=to_verdict(document),
        received_at=document["received_at"],
        duplicate_of=document.get("duplicate_of"),
    )


def _finite(value: float | None) -> float | None:
    """What earlier versions stored of a reading in an unit that made it infinite is left out."""
    return value if value is None or math.isfinite(value) else None


def to_verdict(document: Document) -> Verdict:
    return Verdict(tuple(Reason(reason) for reason in document["reasons"]))
