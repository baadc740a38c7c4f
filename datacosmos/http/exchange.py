"""One request and its answer, as the application has them from uvicorn: a short answer leaves in one piece.

uvicorn writes its head and its body apart, each by a call of the system that wakes the client.
"""

import re
from collections.abc import Awaitable, Iterable
from http import HTTPStatus
from itertools import chain
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from datacosmos.bounds import Bound
from datacosmos.http.bodies import BodyTooSlow
from datacosmos.http.leaving import LEAVING, Leaving

KNOWN = (
    "disconnected response_started response_complete keep_alive waiting_for_100_continue "
    "default_headers flow message_event on_response scope transport"
)
SHORT = 1 << 16  # bytes that it costs less to copy than to write apart
STATUS_LINES: dict[int, bytes] = {status: b"HTTP/1.1 %d %b" % (status, status.phrase.encode()) for status in HTTPStatus}
UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # uvicorn refuses a header that has one of these
APART = frozenset({b"connection", b"transfer-encoding"})  # headers by which uvicorn does more than send them


class Exchange:
    """Given to uvicorn in place of the application. A head of known length waits for what follows it."""

    __slots__ = ("_app", "_cycle", "_head", "_leaving", "_slow")

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app, self._cycle = app, cycle
        self._head: Message | None = None
        self._leaving = Leaving(cycle.flow.resume_reading)
        self._slow: Bound | None = None

    def run(self, scope: Scope, _: Receive, __: Send) -> Awaitable[None]:
        scope["state"][LEAVING] = self._leaving
        return self._app(scope, self.receive, self.send)

    def refuse_slow_body(self, bound: Bound) -> None:
        """Wherever it is received, unless it is being answered already."""
        self._slow = bound
        self._cycle.message_event.set()

    def leave(self) -> None:
        """Ends it, as its client is gone, or is told otherwise."""
        self._cycle.disconnected = True
        self._cycle.message_event.set()
        self._leaving.end()

    async def receive(self) -> Any:
        """Raises BodyTooSlow."""
        message = await self._cycle.receive()
        if self._slow is not None and not self._cycle.response_started:
            self._slow.refusal()
            raise BodyTooSlow(self._slow.most)
        return message

    async def send(self, message: Message) -> None:
        head, self._head = self._head, None
        if head is None:
            if message["type"] == "http.response.start" and self._may_wait(message):
                self._head = message
                return
        elif self._finish(head, message):
            return
        else:
            self._cycle.response_started = False
            await self._send(head)
        await self._send(message)

    def _send(self, message: Any) -> Awaitable[None]:
        return self._cycle.send(message)

    def _may_wait(self, head: Message) -> bool:
        """From then on the answer has begun: where nothing follows, the connection breaks off."""
        cycle, names = self._cycle, dict(head.get("headers", ())).keys()
        is_usual = b"content-length" in names and not names & APART and head["status"] in STATUS_LINES
        waits = is_usual and not cycle.response_started
        cycle.response_started = cycle.response_started or waits
        return waits

    def _finish(self, head: Message, message: Message) -> bool:
        """Whether the whole answer could be written at once."""
        cycle, body = self._cycle, message.get("body", b"")
        if message.get("more_body") or len(body) > SHORT or cycle.scope["method"] == "HEAD":
            return False
        if cycle.disconnected or not cycle.keep_alive or cycle.flow.write_paused:
            return False
        headers = [*cycle.default_headers, *head["headers"]]
        if int(dict(headers)[b"content-length"]) != len(body) or UNSENDABLE.search(b"".join(chain(*headers))):
            return False
        cycle.transport.write(written(head["status"], headers, body))
        cycle.response_complete, cycle.waiting_for_100_continue = True, False
        cycle.message_event.set()
        cycle.on_response()
        return True


def written(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """A whole answer, as it is sent."""
    return b"\r\n".join([STATUS_LINES[status], *map(b"%b: %b".__mod__, headers), b"", body])
