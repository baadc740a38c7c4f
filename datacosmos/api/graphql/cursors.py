"""Opaque cursors: the sort key and id of an edge, as URL-safe base64."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Iterable
from enum import StrEnum

from datacosmos.domain.columns import EPOCH, MILLISECOND
from datacosmos.errors import InvalidCursor
from datacosmos.store.mongo.ranges import Position

URL_SAFE = bytes.maketrans(b"+/", b"-_")
INSIDE = re.compile(r"[a-z]+\|(-?[0-9]{1,15})\|(.+)", re.DOTALL)


class Kind(StrEnum):
    """What a cursor points into; one of the other kind is refused."""

    POINTS = "points"
    DISCARDS = "discards"


def encode_cursor(kind: Kind, position: Position) -> str:
    return encode_key(kind, (position.time - EPOCH) // MILLISECOND, position.id.encode()).decode()


def encode_key(kind: Kind, milliseconds: int, name: bytes) -> bytes:
    return encode_keys(kind, [(milliseconds, name)])[0]


def encode_keys(kind: Kind, keys: Iterable[tuple[int, bytes]]) -> list[bytes]:
    template = kind.encode() + b"|%d|%b"
    lines = b"".join([b2a_base64(template % key) for key in keys])
    return lines.translate(URL_SAFE).split()


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
    raise InvalidCursor(f"this is no cursor of these {kind}; take startCursor or endCursor of another page")


def encode_name(name: str, kind: str = "series") -> str:
    """Of a series in the list of all, or, by their ids, of those that are `stored`."""
    return urlsafe_b64encode(f"{kind}|{name}".encode()).decode()


def decode_name(cursor: str, kind: str = "series") -> str:
    """Raises InvalidCursor for whatever encode_name can't have made."""
    try:
        _, _, name = urlsafe_b64decode(cursor.encode("ascii")).decode().partition("|")
        if name and encode_name(name, kind) == cursor:
            return name
    except ValueError:
        pass
    raise InvalidCursor("this is no cursor of these series; take startCursor or endCursor of another page")
