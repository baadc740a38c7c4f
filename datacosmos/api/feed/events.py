"""Frames as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from typing import Any

import orjson

from datacosmos.api.feed.frames import Frame
from datacosmos.api.graphql.errors import code_of
from datacosmos.api.lists.discarded import discard_row
from datacosmos.api.times import format_time
from datacosmos.domain.changes import Change, ChangeKind
from datacosmos.domain.points import Point
from datacosmos.errors import DatacosmosError, shorten

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
FORM = "event"
RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser comes back."""


def event_of(frame: Frame) -> bytes:
    """A message whose id is the cursor, and whose data is what GraphQL's `Changes` has."""
    return frame.found(FORM) or frame.keep(FORM, _write(frame))


def _write(frame: Frame) -> bytes:
    data = orjson.dumps({"cursor": frame.cursor, "events": [_row(change) for change in frame.changes]})
    return b"id: %b\ndata: %b\n\n" % (frame.cursor.encode(), data)


def _row(change: Change) -> dict[str, Any]:
    is_discard = change.kind is ChangeKind.DISCARDED
    return {
        "kind": change.kind.name,
        "point": None if is_discard else _point_row(change.point),
        "discard": discard_row(change.point) if is_discard else None,
    }


def _point_row(point: Point) -> dict[str, Any]:
    reading = point.reading
    return {
        "id": point.id,
        "series": reading.series,
        "time": reading.time and format_time(reading.time),
        "value": reading.value,
        "tags": reading.tags,
        "receivedAt": format_time(point.received_at),
    }


def error_event(error: DatacosmosError, cursor: str | None) -> bytes:
    """What ends a stream that has begun."""
    return b"event: error\ndata: %b\n\n" % orjson.dumps(told(error, cursor))


def told(error: DatacosmosError, cursor: str | None) -> dict[str, Any]:
    """An error of a stream, with the last cursor that it gave."""
    return {"message": shorten(str(error)), "extensions": {"code": code_of(error), "cursor": cursor}}
