"""Answers on their way out: a short one as a whole, a long one piece by piece."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import closing

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from datacosmos.api.lists.spool import Span, Spool
from datacosmos.http.pace import Pace

Piece = bytes | Span
Head = Sequence[tuple[bytes, bytes]]
"""Headers as ASGI has them, but for the length."""
WHOLE = 1 << 16
"""Bytes up to which an answer is sent as a whole."""


class LongAnswer(StreamingResponse):
    """Sends the pieces, some of which are in the spool, and closes that in the end, however it ends.

    It is broken off where its client takes it too slowly: the spool is what other answers need.
    """

    def __init__(self, pieces: list[Piece], spool: Spool, pace: Pace, status: int, head: Head) -> None:
        self._length = sum(map(len, pieces))
        super().__init__(_each(pieces, spool), status)
        self.raw_headers = [*head, (b"content-length", b"%d" % self._length)]
        self._spool, self._pace = spool, pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with closing(self._spool):
            async with self._pace.taking(self._length):
                await super().__call__(scope, receive, send)


class ShortAnswer(Response):
    """One as a whole, whose head costs no more than it must."""

    def __init__(self, body: bytes, status: int, head: Head) -> None:
        self.body, self.status_code, self.background = body, status, None
        self.raw_headers = [*head, (b"content-length", b"%d" % len(body))]


def head_of(headers: Mapping[str, str]) -> Head:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def whole(pieces: Sequence[Piece]) -> bytes | None:
    """The answer, unless it is a long one."""
    match pieces:
        case [bytes() as text] if len(text) <= WHOLE:
            return text
        case _:
            return None


async def _each(pieces: list[Piece], spool: Spool) -> AsyncGenerator[bytes]:
    """Each is let go of once it is sent."""
    pieces.reverse()
    while pieces:
        piece = pieces.pop()
        if isinstance(piece, bytes):
            yield piece
        else:
            async for block in spool.read(piece):
                yield block
