"""Request bodies, of which no more is ever held than may come."""

import asyncio
import zlib

from starlette.requests import Request

GZIP_FORMAT = 16 + zlib.MAX_WBITS  # with gzip's header and checksum, and no other
MAX_MEMBERS, PART = 10_000, 1 << 16


class BodyTooLarge(Exception):
    """A request's body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


class UnknownEncoding(Exception):
    """A request's body is packed in a way that is not taken."""


class BrokenBody(Exception):
    """A request's body can't be unpacked."""


async def read_body(request: Request, limit: int) -> bytes:
    """Raises BodyTooLarge as soon as that is known: by its length where one is given, else while reading."""
    body = bytearray()
    if int(request.headers.get("content-length", 0)) > limit:
        raise BodyTooLarge(limit)
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(limit)
    return bytes(body)


async def read_unpacked(request: Request, limit: int) -> bytes:
    """A body that may be gzipped, of at most `limit` bytes both before and after it is unpacked.

    Raises UnknownEncoding before anything is read, BodyTooLarge, and BrokenBody.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("gzip", "x-gzip", "identity", ""):
        raise UnknownEncoding("the body's Content-Encoding must be gzip, or there must be none")
    body = await read_body(request, limit)
    if coding in ("identity", ""):
        return body
    return await asyncio.to_thread(_unpack, body, limit)


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
