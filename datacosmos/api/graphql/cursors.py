"""Opaque cursors: the sort key and id of an edge, as URL-safe base64."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from enum import StrEnum

from datacosmos.domain.columns import EPOCH, MILLISECOND
from datacosmos.errors import InvalidCursor
from datacosmos.store.mongo.ranges import Position

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
    """All at once where each has as many bytes, in threes: then base64 of one ends where that of the next begins."""
    prefix = kind.encode()
    texts = [b"%b|%d|%b" % (prefix, *key) for key in keys]
    sizes = set(map(len, texts))
    if len(sizes) != 1 or (size := sizes.pop()) % 3:
        return list(map(urlsafe_b64encode, texts))
    together, length = urlsafe_b64encode(b"".join(texts)), size // 3 * 4
    return [together[begin : begin + length] for begin in range(0, len(together), length)]


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
