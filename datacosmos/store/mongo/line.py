"""One connection to MongoDB, opened, authenticated and wrapped in TLS elsewhere: a message there, a message back."""

import asyncio
import struct
from collections.abc import Callable
from typing import Self

from pymongo.errors import AutoReconnect, NetworkTimeout

HEAD = struct.Struct("<iiiiiB")  # length, request id, response to, opcode, flags, kind of section
OP_MSG, LONGEST = 2013, 48_000_000
SHORT = 1 << 14
"""Bytes of a message that are read at once, with its head, into a buffer that is kept."""


class Line(asyncio.BufferedProtocol):
    """In place of the protocol that opened the connection, which reads in pieces and pauses after each message."""

    def __init__(
        self, transport: asyncio.Transport, timeout: float, lost: Callable[[Self], None] = lambda _: None
    ) -> None:
        """`lost` is called once the connection is."""
        self._transport, self._timeout, self._lost = transport, timeout, lost
        self._loop = asyncio.get_running_loop()
        self._kept = self._buffer = memoryview(bytearray(SHORT))
        self._filled = self._number = 0
        self._reply: asyncio.Future[bytes | memoryview] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        if transport.is_closing():
            raise AutoReconnect("connection closed")
        transport.set_protocol(self)
        transport.resume_reading()

    @property
    def is_closed(self) -> bool:
        return self._transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, or to be known of, any more."""
        return self._reply is None

    def ask(self, body: bytes) -> asyncio.Future[bytes | memoryview]:
        """The document that answers a command's. Raises AutoReconnect, and NetworkTimeout; the line is then closed."""
        self._number = self._number % (2**31 - 1) + 1
        self._reply = reply = self._loop.create_future()
        self._transport.write(HEAD.pack(HEAD.size + len(body), self._number, 0, OP_MSG, 0, 0) + body)
        self._deadline = self._loop.time() + self._timeout
        if self._timer is None:
            self._look_again()
        return reply

    def cancel(self) -> None:
        """As MongoDB hangs: a heartbeat of it has not come in time."""
        self._fail(NetworkTimeout("no heartbeat"))

    def close(self) -> None:
        self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's protocol gives it
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        filled = self._filled = self._filled + nbytes
        if filled < HEAD.size:
            return
        size, _, number, operation, _, _ = HEAD.unpack_from(self._buffer)
        if operation != OP_MSG or number != self._number or not filled <= size <= LONGEST:
            self._fail(AutoReconnect("what came is no reply to what was asked"))
        elif filled == size:
            self._take(size)
        elif size > len(self._buffer):
            self._buffer = memoryview(bytearray(size))
            self._buffer[:filled] = self._kept[:filled]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - likewise
        self._fail(AutoReconnect("connection closed"))
        self._lost(self)
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self) -> None:
        """One timer serves many replies: to cancel one costs uvloop a round of its own, 10 µs."""
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self.is_idle and self._loop.time() >= self._deadline:
            self._fail(NetworkTimeout("timed out"))
        elif not self.is_idle:
            self._look_again()

    def _take(self, size: int) -> None:
        document = self._buffer[HEAD.size : size]
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            reply.set_result(bytes(document) if self._buffer is self._kept else document)
        self._buffer, self._filled = self._kept, 0

    def _fail(self, error: AutoReconnect) -> None:
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            reply.set_exception(error)
        self._transport.abort()
