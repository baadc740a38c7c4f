"""What all connections of a server share: how many there are, what they may send, and which of them make way."""

import asyncio
from collections.abc import Collection
from enum import Enum, auto
from typing import Protocol

from datacosmos.bounds import Bound
from datacosmos.http.admission import Admission
from datacosmos.settings import Settings

HEADERS = 200  # of one request, its trailer among them; the smallest take 25 times their bytes of a head
LINGER = 1.0  # seconds for which a refused client is still read, as it may read us only then


class Stage(Enum):
    """What is read next."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    REFUSED = auto()


BETWEEN, HEAD, BODY, REFUSED = Stage  # a member of an enumeration takes longer to find, and each request asks often


class Connection(Protocol):
    """One that may be ended."""

    loop: asyncio.AbstractEventLoop

    def make_way(self) -> None:
        """For another one."""
        ...

    def drop(self) -> None:
        """At once."""
        ...


class Edge:
    """What all connections of a server share; times are in seconds."""

    def __init__(self, settings: Settings, websockets: Collection[str] = ()) -> None:
        self.websockets = frozenset(path.encode() for path in websockets)
        head, idle = settings.head_timeout.total_seconds(), settings.idle_timeout.total_seconds()
        self.admission = Admission(settings)
        self.head_max_bytes = settings.head_max_bytes
        self.body_least = round(settings.body_min_rate * head)
        self.patience = {BETWEEN: idle, HEAD: head, BODY: head, REFUSED: LINGER}
        self.heads = Bound("heads", self.head_max_bytes, "bytes of one head")
        self.headers = Bound("headers", HEADERS, "headers of one request")
        self.slow_heads = Bound("slow_heads", round(head), "seconds of one head")
        self.slow_bodies = Bound("slow_bodies", settings.body_min_rate, "bytes a second of one body")
        self.stalled = Bound("stalled_answers", round(idle), "seconds of one answer")
        self.owing: dict[Connection, None] = {}  # in order: the first has kept us waiting for longest
        self.idle: dict[Connection, float] = {}  # between two requests, in the same order, and since when
        self._sweep: asyncio.TimerHandle | None = None

    def keep(self, idle: Connection) -> None:
        """One timer ends them all: to set and cancel one for each would cost each request a round of the loop."""
        self.idle[idle] = idle.loop.time()
        if self._sweep is None:
            self._sweep = idle.loop.call_later(self.patience[BETWEEN], self._end_idle, idle.loop)

    def _end_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        while self.idle:
            connection, since = next(iter(self.idle.items()))
            if (ends := since + self.patience[BETWEEN]) > loop.time():
                self._sweep = loop.call_at(ends, self._end_idle, loop)
                return
            del self.idle[connection]
            connection.drop()

    def make_room(self) -> bool:
        """Ends a connection for another one, where there is any that isn't being answered."""
        for waiting in (self.owing, self.idle):
            for connection in waiting:
                connection.make_way()
                return True
        return False
