"""Answers packed, by zstd or gzip, for clients that accept it."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datacosmos.http.problems import MEDIA_TYPE

try:
    from isal import isal_zlib as zlib
except ImportError:  # it is made for x86-64 and ARM alone
    import zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SHORT = 1024  # bytes, which travel as one packet however they are packed
LONG = 1 << 20  # bytes that are packed in a thread: 3 ms
FAST = 1  # of gzip's levels and of zstd's: higher ones make points a tenth smaller, and take more than twice as long
GZIP = 31  # of zlib's wbits: its format, with the largest window
EXCLUDED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, MEDIA_TYPE)
CODINGS = ("zstd", "gzip")
"""The first packs points to less than half of the second, as fast; ISA-L's gzip is three times as fast as zlib's."""
Pack = Callable[[bytes, bool], bytes]
"""What packs a piece, of which it is told whether more come."""
CHOICE = re.compile(r"\s*([a-z0-9*-]+)\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")


class Packed:
    """Packs piece by piece as answers are sent; short answers and problems stay as they are.

    Answers that would be packed for others say so in Vary, and HEAD has the head that GET has but for the length. What
    packs an answer that fails never ends: neither does what unpacks it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        pass_on = send

        def send_packed(message: Message) -> Awaitable[None]:
            nonlocal pass_on
            if message["type"] == "http.response.start" and not _is_short(message):
                coding = choose(b",".join([value for name, value in scope["headers"] if name == b"accept-encoding"]))
                if coding and scope["method"] != "HEAD":
                    pass_on = _Responder(self._app, send, coding).send_with_compression
                else:
                    _mark(message, coding)
            return pass_on(message)

        return self._app(scope, receive, send_packed)


@lru_cache(64)
def choose(accept: bytes) -> str | None:
    """Which coding a client likes best, by Accept-Encoding (RFC 9110, 12.5.3); None is none. `*` is gzip to all."""
    liked: dict[str, float] = {}
    for item in accept.decode("latin-1").lower().split(","):
        if found := CHOICE.fullmatch(item):
            liked[found[1]] = float(found[2] or 1)
    qualities = {"zstd": liked.get("zstd", 0.0), "gzip": liked.get("gzip", liked.get("*", 0.0))}
    best = max(CODINGS, key=qualities.__getitem__)
    return best if qualities[best] > 0 and qualities[best] >= liked.get("identity", 0.0) else None


class _Responder(IdentityResponder):
    """Sends pieces that can be unpacked as they come."""

    def __init__(self, app: ASGIApp, send: Send, coding: str) -> None:
        super().__init__(app, SHORT, exclude_content_types=EXCLUDED)
        self.send = send
        self.content_encoding, self._packer = coding, PACKERS[coding]
        self._pack: Pack | None = None

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        self._pack = self._pack or self._packer()
        pack = partial(self._pack, body, more_body)
        return await asyncio.to_thread(pack) if len(body) >= LONG else pack()


def _gzip() -> Pack:
    packer = zlib.compressobj(FAST, zlib.DEFLATED, GZIP)
    return lambda body, more: packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)


def _zstd() -> Pack:
    packer = zstd.ZstdCompressor(FAST)
    return lambda body, more: packer.compress(body, packer.FLUSH_BLOCK if more else packer.FLUSH_FRAME)


PACKERS: dict[str, Callable[[], Pack]] = {"zstd": _zstd, "gzip": _gzip}


def _mark(message: Message, coding: str | None) -> None:
    """Says in a head what packing, which isn't done here, would say; the coding only where it is HEAD's."""
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    if _is_packed(message["status"], headers):
        headers.add_vary_header("Accept-Encoding")
        if coding:
            headers["Content-Encoding"] = coding
            del headers["Content-Length"]


def _is_short(message: Message) -> bool:
    return int(dict(message.get("headers", ())).get(b"content-length", SHORT)) < SHORT


def _is_packed(status: int, headers: Headers) -> bool:
    """Whether the answer with this head is packed for clients that accept it."""
    length = headers.get("content-length")
    if "content-encoding" in headers or (status != 200 if length is None else int(length) < SHORT):
        return False
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind not in EXCLUDED and f"{kind.partition('/')[0]}/*" not in EXCLUDED
