"""A discard in JSON, by the names of the fields of GraphQL's Discard, and alike."""

from base64 import b64encode
from typing import Any

from datacosmos.api.times import format_time
from datacosmos.domain.points import Point


def discard_row(point: Point) -> dict[str, Any]:
    reading, verdict = point.reading, point.verdict
    return {
        "id": point.id,
        "source": reading.source,
        "series": reading.series,
        "time": reading.time and format_time(reading.time),
        "value": reading.value,
        "tags": reading.tags,
        "reason": verdict.reason and verdict.reason.name,
        "reasons": [reason.name for reason in verdict.reasons],
        "receivedAt": format_time(point.received_at),
        "faults": reading.faults,
        "duplicateOf": point.duplicate_of,
        "rawBase64": b64encode(reading.raw).decode(),
    }
