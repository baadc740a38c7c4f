"""Cursors of the changes: sealed, so that they tell nothing and none can be made up.

A cursor holds a resume token of MongoDB, which names documents, maybe of a series that its reader may not see. It is
encrypted and authenticated in one (a synthetic IV, as in RFC 5297): a keyed hash of topic and place is both the seal
and the nonce from which the key stream is made. So one place has one cursor, whichever process writes it, as long as
the processes share the secret.
"""

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from datacosmos.domain.changes import Accepted, Place, Topic
from datacosmos.domain.columns import EPOCH, MILLISECOND
from datacosmos.errors import InvalidCursor

VERSION = 1
SEAL, BLOCK = 16, 64  # bytes; of a multiple of a block, a place does not show how long its ids are
LONGEST = 4096  # characters
HEAD = struct.Struct("<BHqH")  # version, size of the mark, milliseconds, 1 + size of the id, or 0 where all is read


class Cursors:
    """Seals places for one service, whose processes share a secret."""

    def __init__(self, secret: str) -> None:
        keys = hashlib.blake2b(secret.encode(), person=b"changes cursor").digest()
        self._sealing, self._hiding = keys[:32], keys[32:]

    def write(self, topic: Topic, place: Place) -> str:
        plain = _pack(place)
        seal = self._seal(topic, plain)
        return urlsafe_b64encode(seal + self._hide(seal, plain)).decode()

    def read(self, topic: Topic, cursor: str) -> Place:
        """Raises InvalidCursor for whatever `write` can't have made of a place in this topic."""
        try:
            sealed = urlsafe_b64decode(cursor.encode("ascii")) if len(cursor) <= LONGEST else b""
            seal, hidden = sealed[:SEAL], sealed[SEAL:]
            plain = self._hide(seal, hidden)
            is_ours = hmac.compare_digest(seal, self._seal(topic, plain))
            if is_ours and urlsafe_b64encode(sealed).decode() == cursor:
                return _unpack(plain)
        except ValueError:
            pass
        raise InvalidCursor("this is no cursor of these changes; take one that this subscription gave, or leave it out")

    def _seal(self, topic: Topic, plain: bytes) -> bytes:
        name = name_of(topic).encode()
        return hashlib.blake2b(
            struct.pack("<I", len(name)) + name + plain, key=self._sealing, digest_size=SEAL
        ).digest()

    def _hide(self, seal: bytes, text: bytes) -> bytes:
        """Hides what is plain, and shows what is hidden."""
        stream = hashlib.shake_256(self._hiding + seal).digest(len(text))
        return (int.from_bytes(text, "little") ^ int.from_bytes(stream, "little")).to_bytes(len(text), "little")


def name_of(topic: Topic) -> str:
    if isinstance(topic, Accepted):
        return f"changes|{topic.series}"
    return f"discards|{topic.reason or ''}|{topic.source or ''}"


def _pack(place: Place) -> bytes:
    mark = place.mark.encode()
    time, name = (0, None) if place.past is None else (_milliseconds(place.past[0]), place.past[1].encode())
    packed = HEAD.pack(VERSION, len(mark), time, 0 if name is None else 1 + len(name)) + mark + (name or b"")
    return packed + bytes(-len(packed) % BLOCK)


def _unpack(packed: bytes) -> Place:
    version, marked, time, named = HEAD.unpack_from(packed)
    if version != VERSION:
        raise ValueError("a cursor of another release")
    mark = packed[HEAD.size : (end := HEAD.size + marked)].decode()
    if named == 0:
        return Place(mark)
    return Place(mark, (EPOCH + time * MILLISECOND, packed[end : end + named - 1].decode()))


def _milliseconds(time: datetime) -> int:
    return (time - EPOCH) // MILLISECOND
