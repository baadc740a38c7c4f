"""Opaque cursors: the sort key and id of an edge, as URL-safe base64."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from datacosmos.errors import InvalidCursor
from datacosmos.store.points import Position

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)  # what MongoDB keeps
INSIDE = re.compile(r"[a-z]+\|(-?[0-9]{1,15})\|(.+)", re.DOTALL)


class Kind(StrEnum):
    """What a cursor points into; one of the other kind is refused."""

    POINTS = "points"
    DISCARDS = "discards"


def encode_cursor(kind: Kind, position: Position) -> str:
    milliseconds = (position.time - EPOCH) // MILLISECOND
    return urlsafe_b64encode(f"{kind}|{milliseconds}|{position.id}".encode()).decode()


def decode_cursor(kind: Kind, cursor: str) -> Position:
    """Raises InvalidCursor for whatever encode_cursor can't have made."""
    try:
        inside = INSIDE.fullmatch(urlsafe_b64decode(cursor.encode("ascii")).decode())
        if inside is not None:
            position = Position(EPOCH + int(inside[1]) * MILLISECOND, inside[2])
            # Also false for a cursor of the other kind, and for bits that base64 leaves unused.
            if encode_cursor(kind, position) == cursor:
                return position
    except (ValueError, OverflowError):
        pass
    raise InvalidCursor(f"after is no cursor of these {kind}; take endCursor of the page before")
