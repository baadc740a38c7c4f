"""Answers gzipped for clients that accept it."""

import re
from collections.abc import Sequence
from functools import partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datacosmos.http.problems import MEDIA_TYPE

SHORT = 1024  # bytes, which travel as one packet however they are packed
FAST = 1  # of zlib's levels: higher ones make points a tenth smaller, and take more than twice as long
EXCLUDED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, MEDIA_TYPE)

REFUSED = re.compile(r"gzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")


class Packed:
    """Starlette's gzip, piece by piece as answers are sent; short answers and problems stay as they are.

    Answers that would be packed for others say so in Vary, and HEAD has the head that GET has but for the length.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        takes = _takes_gzip([value for name, value in scope["headers"] if name == b"accept-encoding"])
        if takes and scope["method"] != "HEAD":
            await GZipResponder(self._app, SHORT, FAST, exclude_content_types=EXCLUDED)(scope, receive, send)
        else:
            await self._app(scope, receive, partial(_send_marked, send, takes))


def _takes_gzip(accept: Sequence[bytes]) -> bool:
    named = b",".join(accept).decode("latin-1").lower()
    return "gzip" in named and not REFUSED.search(named)


async def _send_marked(send: Send, takes: bool, message: Message) -> None:
    """Sends the head with what packing, which isn't done here, would say in it; `takes` only where it is HEAD's."""
    if message["type"] == "http.response.start" and not _is_short(message):
        headers = MutableHeaders(raw=message.setdefault("headers", []))
        if _is_packed(message["status"], headers):
            headers.add_vary_header("Accept-Encoding")
            if takes:
                headers["Content-Encoding"] = "gzip"
                del headers["Content-Length"]
    await send(message)


def _is_short(message: Message) -> bool:
    return any(name == b"content-length" and int(value) < SHORT for name, value in message.get("headers", ()))


def _is_packed(status: int, headers: Headers) -> bool:
    """Whether the answer with this head is gzipped for clients that accept it."""
    length = headers.get("content-length")
    if "content-encoding" in headers or (status != 200 if length is None else int(length) < SHORT):
        return False
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind not in EXCLUDED and f"{kind.partition('/')[0]}/*" not in EXCLUDED
