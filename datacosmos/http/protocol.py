"""uvicorn's HTTP/1.1 with bounds on what a connection may send, and for how long, until there is a request.

What this service knows of uvicorn's insides stands here and in `exchange`; where they have changed, uvicorn's own
protocol serves.
"""

import asyncio
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from functools import partial
from typing import Any, cast

import structlog
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from datacosmos.errors import Overloaded
from datacosmos.http import exchange
from datacosmos.http.edge import BETWEEN, BODY, HEAD, HEADERS, REFUSED, Edge, Stage
from datacosmos.http.problems import RETRY_AFTER, problem
from datacosmos.insides import missing
from datacosmos.settings import Settings

log = structlog.stdlib.get_logger(__name__)
PIPELINED = 16  # requests that may wait for the one before them on their connection
LINGER_BYTES = 1 << 20  # how far a refused client is still read, for as long as LINGER
OFFER = (b"upgrade", b"http2-settings")
KNOWN = (
    "on_message_begin on_headers_complete on_body on_message_complete "
    "connection_made connection_lost data_received pause_writing resume_writing "
    "on_response_complete server_state flow pipeline loop "
    "handle_websocket_upgrade _get_upgrade _start_asgi_task"
)


def protocol_of(settings: Settings, websockets: Collection[str] = ()) -> type[asyncio.Protocol]:
    """What uvicorn is to make of each connection; `websockets` are the paths at which it may become one."""
    known = ((HttpToolsProtocol, KNOWN), (RequestResponseCycle, exchange.KNOWN))
    if gone := missing((owner, name) for owner, names in known for name in names.split()):
        log.error("uvicorn has changed: connections and heads are unbounded", missing=gone)
        return HttpToolsProtocol
    return cast("type[asyncio.Protocol]", partial(BoundedProtocol, Edge(settings, websockets)))


class BoundedProtocol(HttpToolsProtocol):
    """Whatever a client owes has an end: its head, the rest of a body that nobody reads, the reading of an answer.

    No offer to upgrade is taken but to a WebSocket, at the paths that have one.
    """

    parser: HttpRequestParser

    def __init__(
        self,
        edge: Edge,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._edge = edge
        self._stage = BETWEEN
        self._unframed = 0  # bytes since the last that was part of a body, or ended a head or a request
        self._source: str | None = None
        self._admitted = False
        self._exchange: exchange.Exchange | None = None  # the one that is answered, or was last
        self._awaited: Stage | None = None  # what the deadline is for
        self._came = 0  # bytes of a body since the deadline was set
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        try:
            super().connection_made(transport)
            self._source = self._edge.admission.enter(self.client[0] if self.client else None, self._edge.make_room)
        except Overloaded as error:
            self._stage = REFUSED
            transport.write(_refusal(503, f"{error}; try again later", RETRY_AFTER))
            transport.close()
        except Exception:
            log.exception("connection refused, as it could not be counted")
            self._stage = REFUSED
            transport.abort()
        else:
            self._admitted = True
            self._expect(HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._exchange is not None:
            self._exchange.leave()
        self._stage = REFUSED
        self._expect(None)
        self._leave()

    def make_way(self) -> None:
        """For another connection; one between two requests is closed without a word, as no answer is waited for.

        Whoever was refused already, or doesn't read, is dropped at once: no answer reaches it, and it holds a file.
        """
        if self._stage is REFUSED or self.transport.is_closing() or self.flow.write_paused:
            self.transport.abort()
        elif self not in self._edge.idle:
            self._refuse(503, "the service has as many connections as it may; try again later", RETRY_AFTER)
        self._stage = REFUSED
        self._expect(REFUSED)  # the end of what is still to be sent
        self._leave()
        self.transport.close()

    def _leave(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
        self._edge.owing.pop(self, None)
        self._edge.idle.pop(self, None)
        if self._admitted:
            self._edge.admission.leave(self._source)
            self._admitted = False

    def data_received(self, data: bytes) -> None:
        if self._stage is REFUSED:
            self._discard(len(data))
            return
        room = self._edge.head_max_bytes - self._unframed
        if len(data) <= room:
            self._feed(data)
        elif self._feed(data[: max(0, room)]):
            self._feed_more(data[max(0, room) :])
        self._watch()

    def _feed_more(self, data: bytes) -> None:
        """What follows as many bytes as a head may have, unless those were none of a body."""
        if self._unframed < self._edge.head_max_bytes:
            self._feed(data)
        else:
            self._edge.heads.refusal()
            self._refuse(431, f"the head is larger than {self._edge.head_max_bytes} bytes")

    def _feed(self, data: bytes) -> bool:
        """Whether it could be read."""
        self._unframed += len(data)
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    self._bound_headers()
                    break
                except HttpParserUpgrade as offer:
                    if self._is_for_websocket():
                        self._become_websocket()
                        break
                    data = self._head_without_offer() + data[offer.args[0] :]
        except HttpParserError:
            if self._stage is not REFUSED:
                self._refuse(400, "this is no HTTP/1.1 request that can be read")
            return False
        return True

    def _head_without_offer(self) -> bytes:
        """For the parser, which takes what follows an offer for another protocol, even a body."""
        if self.parser.get_method() == b"CONNECT":
            return b""
        line = self.parser.get_method(), self.url, self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n" % line + b"".join(_without_offer(self.headers)) + b"\r\n"

    def _is_for_websocket(self) -> bool:
        is_get = self.parser.get_method() == b"GET" and self.parser.get_http_version() == "1.1"
        is_meant = self.url.partition(b"?")[0] in self._edge.websockets and self._get_upgrade() == b"websocket"
        # One that is still being answered keeps the connection: the request is then answered as any other is.
        return is_get and is_meant and not self._answering()

    def _become_websocket(self) -> None:
        """What is counted here stays counted until that ends."""
        self._expect(None)
        self._stage = REFUSED
        self.scope["method"] = "GET"
        self.ws_protocol_class = partial(BoundedWebSocket, self._edge, self._leave)  # type: ignore[assignment]
        self.handle_websocket_upgrade()

    def _offers_upgrade(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def on_message_begin(self) -> None:
        self._stage = HEAD
        super().on_message_begin()

    def _bound_headers(self) -> None:
        """Raises HttpParserError. To count them once a part of the head is read is quicker than at each."""
        if self.headers and len(self.headers) > HEADERS:
            self._edge.headers.refusal()
            self._refuse(431, f"the request has more than {HEADERS} headers")
            raise HttpParserError("too many headers")

    def on_headers_complete(self) -> None:
        self._bound_headers()
        if self._offers_upgrade():
            return
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests wait on this connection")
        self._stage, self._unframed = BODY, 0
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._exchange = exchange.Exchange(app, cycle)
        answering: Any = self._exchange.run
        super()._start_asgi_task(cycle, answering)

    def on_body(self, body: bytes) -> None:
        self._unframed = 0
        self._came += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._bound_headers()  # with its trailer, before another request follows
        if self._offers_upgrade():
            return
        self._stage, self._unframed = BETWEEN, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """uvicorn's, but for a timer until the next request."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self._edge.patience[BETWEEN], self._give_up)
        self._edge.owing[self] = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._edge.owing.pop(self, None)
        if self._unread is not None:
            self._unread.cancel()

    def _answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete  # uvicorn begins with none

    def _watch(self) -> None:
        """Times what the client owes: a head, the rest of a body that was answered already, the next request."""
        if self._stage is REFUSED:
            return
        awaited = self._awaits()
        if awaited is not self._awaited or (awaited is BODY and self._came >= self._edge.body_least):
            self._expect(awaited)

    def _awaits(self) -> Stage | None:
        """BODY is one that is read; what is left of another is owed as a head is, however fast it comes."""
        if self._answering():
            return BODY if self._stage is BODY else None
        return BETWEEN if self._stage is BETWEEN or self.transport.is_closing() else HEAD

    def _expect(self, awaited: Stage | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._awaited, self._came, self._deadline = awaited, 0, None
        self._edge.owing.pop(self, None)
        self._edge.idle.pop(self, None)
        if awaited is BETWEEN:
            self._edge.keep(self)
        elif awaited is not None:
            self._edge.owing[self] = None
            self._deadline = self.loop.call_later(self._edge.patience[awaited], self._miss)

    def _miss(self) -> None:
        if self._awaited is BODY:
            self._mark_too_slow()
        elif self._stage is HEAD and not self.transport.is_closing():
            self._edge.slow_heads.refusal()
            self._refuse(408, f"the head did not arrive within {self._edge.patience[HEAD]:g} s")
        else:
            self.drop()

    def _mark_too_slow(self) -> None:
        """Unless we are the side that doesn't read, also as one before it is still being answered."""
        if self.flow.read_paused or self.pipeline:
            self._expect(BODY)
        elif self._exchange is not None:
            self._exchange.refuse_slow_body(self._edge.slow_bodies)

    def _refuse(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Answers in the application's stead, and closes once the client has had time to read it."""
        self._stage, self._unframed = REFUSED, 0
        if self.pipeline or (self._answering() and self.cycle.response_started):
            self.transport.abort()
            return
        if self._answering() and self._exchange is not None:
            self._exchange.leave()
        self.transport.write(_refusal(status, detail, headers))
        self.transport.write_eof()
        self._expect(REFUSED)

    def _discard(self, size: int) -> None:
        self._unframed += size
        if self._unframed > LINGER_BYTES:
            self.transport.abort()

    def _give_up(self) -> None:
        self._edge.stalled.refusal()
        self.transport.abort()

    def drop(self) -> None:
        """At once, also where the client doesn't read what it was sent."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A connection that has become a WebSocket; `leave` is called at its end."""

    def __init__(self, edge: Edge, leave: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._edge, self._leave = edge, leave
        self._unread: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget_unread()
        self._leave()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self._edge.patience[BETWEEN], self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_unread()

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()

    def _give_up(self) -> None:
        self._edge.stalled.refusal()
        self.transport.abort()


def _without_offer(headers: Iterable[tuple[bytes, bytes]]) -> Generator[bytes]:
    for name, value in headers:
        kept = value
        if name == b"connection":
            options = (option.strip() for option in value.split(b","))
            kept = b", ".join(option for option in options if option.lower() not in OFFER)
        if name not in OFFER and (kept or name != b"connection"):
            yield b"%b: %b\r\n" % (name, kept)


def _refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> bytes:
    answer = problem(status, detail, headers={**(headers or {}), "Connection": "close"})
    return exchange.written(status, answer.raw_headers, bytes(answer.body))
