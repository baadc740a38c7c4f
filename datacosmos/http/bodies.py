"""Request bodies, of which no more is ever held than may come; a byte-order mark before one is no part of it."""

import codecs
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Self

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

GZIP_FORMAT = 16 + zlib.MAX_WBITS  # with gzip's header and checksum, and no other
MAX_MEMBERS, PART = 10_000, 1 << 16


class BodyTooLarge(Exception):
    """A request's body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit

    def __reduce__(self) -> tuple[type[Self], tuple[int]]:
        """Also from another process it comes whole."""
        return type(self), (self.limit,)


class BodyTooSlow(Exception):
    """A request's body comes at fewer than `rate` bytes a second."""

    def __init__(self, rate: int) -> None:
        super().__init__(f"the body came too slowly: at least {rate} bytes a second are wanted")


class UnknownEncoding(Exception):
    """A request's body is packed in a way that is not taken."""


class BrokenBody(Exception):
    """A request's body can't be unpacked."""


async def received(receive: Receive) -> bytes:
    """A body whose length is known and allowed. Raises ClientDisconnect."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def read_body(request: Request, limit: int) -> bytes:
    """Raises BodyTooLarge as soon as that is known: by its length where one is given, else while reading."""
    if int(request.headers.get("content-length", 0)) > limit:
        raise BodyTooLarge(limit)
    body = BytesIO()  # gives its bytes without copying them
    async for chunk in request.stream():
        body.write(chunk)
        if body.tell() > limit:
            raise BodyTooLarge(limit)
    return body.getvalue()


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body as it was sent, which may be gzipped."""

    raw: bytes
    packed: bool

    @property
    def declared_size(self) -> int:
        """Bytes unpacked, as a gzip's end tells: of its last member, and modulo 4 GiB, where it doesn't lie."""
        return int.from_bytes(self.raw[-4:], "little") if self.packed else len(self.raw)

    def unpack(self, limit: int) -> bytes:
        """At most `limit` bytes, without the byte-order mark before them. Raises BodyTooLarge and BrokenBody."""
        body = _unpack(self.raw, limit) if self.packed else self.raw
        if len(body) > limit:
            raise BodyTooLarge(limit)
        return body.removeprefix(codecs.BOM_UTF8)


async def read_packed(request: Request, limit: int) -> Body:
    """Of at most `limit` bytes as it was sent. Raises BodyTooLarge, and UnknownEncoding before anything is read."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("gzip", "x-gzip", "identity", ""):
        raise UnknownEncoding("the body's Content-Encoding must be gzip, or there must be none")
    return Body(await read_body(request, limit), packed=coding in ("gzip", "x-gzip"))


async def read_unpacked(request: Request, limit: int) -> bytes:
    """The same, of at most `limit` bytes unpacked too: so few that others need not wait. Raises BrokenBody."""
    return (await read_packed(request, limit)).unpack(limit)


def _unpack(packed: bytes, limit: int) -> bytes:
    """Of one gzip member or several, as RFC 1952 has them."""
    unpacked, position = bytearray(), 0
    for _ in range(MAX_MEMBERS):
        position = _unpack_member(memoryview(packed), position, unpacked, limit)
        if position == len(packed):
            return bytes(unpacked)
    raise BrokenBody(f"the body is of more than {MAX_MEMBERS} gzip members")


def _unpack_member(packed: memoryview, position: int, unpacked: bytearray, limit: int) -> int:
    """Where the member ends that begins at `position`; what it holds is added to `unpacked`."""
    member = zlib.decompressobj(GZIP_FORMAT)
    while not member.eof:
        # In parts, as each member copies what it was given of the next.
        part = packed[position : position + PART]
        if not part:
            raise BrokenBody("the body ends within its gzip")
        try:
            unpacked += member.decompress(part, limit + 1 - len(unpacked))
        except zlib.error:
            raise BrokenBody("the body is no gzip, though its Content-Encoding says so") from None
        if len(unpacked) > limit:
            raise BodyTooLarge(limit)
        position += len(part) - len(member.unused_data)
    return position
