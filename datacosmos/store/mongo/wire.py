"""A command's bytes on connections that PyMongo's client opened, authenticated and wrapped in TLS.

Its own way of a command takes as long as MongoDB does for a short list. Names of PyMongo that are not public stand here
alone; where one of them is gone, `wire_of` says so and gives None, and commands go PyMongo's own way.
"""

# pyright: reportPrivateUsage=false

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous import pool, topology
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.asynchronous.topology import Topology
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure, PyMongoError
from pymongo.network_layer import AsyncNetworkingInterface, PyMongoProtocol
from pymongo.server_selectors import writable_server_selector

from datacosmos.insides import missing
from datacosmos.store.mongo.line import Line

log = structlog.stdlib.get_logger(__name__)
PATIENCE = 0.05  # seconds that an operation may go on after it was asked to end, before it is asked again
CURSOR = b"\x03cursor\0"  # what a reply begins with that refuses nothing, behind its size
NOT_PRIMARY = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
WAIT, WAITING = "_async_cond_wait", (pool, topology) if sys.version_info < (3, 12) else ()
NEEDED: tuple[tuple[Any, str], ...] = (
    (AsyncMongoClient, "_get_topology"),
    (Topology, "select_server"),
    (Pool, "connect"),
    (Pool, "active_contexts"),
    (AsyncNetworkingInterface, "get_conn"),
    (PyMongoProtocol, "transport"),
    *((module, WAIT) for module in WAITING),
)


async def _wait(condition: asyncio.Condition, timeout: float | None) -> bool:
    """Whether it was notified in time."""
    try:
        async with asyncio.timeout(timeout):
            return await condition.wait()
    except TimeoutError:
        return False


# Before Python 3.12 PyMongo's own waits in a task apart: where it is cancelled as its time is over, that task takes the
# lock for ever, and nothing is read any more until the program is started anew.
for _module in WAITING:
    if hasattr(_module, WAIT):
        setattr(_module, WAIT, _wait)


class Wire:
    """Connections to the primary, one for each command under way; it raises what PyMongo raises."""

    def __init__(self, client: AsyncMongoClient[Any], timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self._idle: list[Line] = []
        self._is_closed = False

    async def id_of(self, session: AsyncClientSession) -> Mapping[str, Any]:
        """By which MongoDB knows a session."""
        await self._client._get_topology()  # noqa: SLF001 - before that it has none
        return session.session_id

    async def ask(self, database: str, command: Mapping[str, Any], session_id: Mapping[str, Any]) -> bytes | memoryview:
        """The reply's bytes. Left early, the operation ends in MongoDB too, by its session, before this does."""
        body = encode({**command, "lsid": session_id, "$db": database})
        line = self._recall() or await self._connect()
        try:
            reply = await line.ask(body)
        except asyncio.CancelledError:
            await self._end(line, session_id)
            raise
        except AutoReconnect:
            self._drop_idle()
            raise
        self._idle.append(line)
        if self._is_closed:
            self._drop_idle()
        if reply[4 : 4 + len(CURSOR)] != CURSOR:
            self._check(RawBSONDocument(bytes(reply)))
        return reply

    def close(self) -> None:
        """What is still under way closes its connection itself."""
        self._is_closed = True
        self._drop_idle()

    async def _end(self, line: Line, session_id: Mapping[str, Any]) -> None:
        """It is over once its reply has come."""
        try:
            await kill(self._client, session_id, lambda: line.is_idle)
        finally:
            line.close()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _recall(self) -> Line | None:
        while self._idle:
            line = self._idle.pop()
            if not line.is_closed:
                return line
        return None

    async def _connect(self) -> Line:
        topology = await self._client._get_topology()  # noqa: SLF001
        server = await topology.select_server(writable_server_selector, "find")
        connection = await self._open(server.pool)
        waiting: set[Any] = server.pool.active_contexts  # which the pool cancels where MongoDB hangs
        waiting.discard(connection.cancel_context)
        line = Line(connection.conn.get_conn.transport, self._timeout, waiting.discard)
        waiting.add(line)
        return line

    async def _open(self, pool: Pool) -> AsyncConnection:
        """Raises NetworkTimeout, too, where another error came as late as that: it is not to be tried again."""
        clock = asyncio.get_running_loop().time
        late = clock() + self._client.options.server_selection_timeout
        try:
            return await pool.connect()
        except AutoReconnect as error:
            if clock() >= late:
                raise NetworkTimeout("no connection in time") from error
            raise

    def _check(self, reply: Mapping[str, Any]) -> None:
        """Raises what a reply refuses the command for."""
        if reply["ok"] == 1:
            return
        code, message = reply.get("code"), reply.get("errmsg", "")
        if code in NOT_PRIMARY:
            self._drop_idle()
            raise NotPrimaryError(message, dict(reply))
        raise OperationFailure(message, code, dict(reply))


async def kill(client: AsyncMongoClient[Any], session_id: Mapping[str, Any], is_over: Callable[[], bool]) -> None:
    """Ends what runs in a session: again and again, as MongoDB may not even have read it yet.

    The last time is when it is over: a cursor may have been opened after MongoDB was asked the time before.
    """
    with suppress(PyMongoError):  # MongoDB is unavailable, and ends by itself what lost its client
        was_over = False
        while not was_over:
            was_over = is_over()
            await client.admin.command({"killSessions": [session_id]})
            if not is_over():
                await asyncio.sleep(PATIENCE)


def wire_of(client: AsyncMongoClient[Any], timeout: float) -> Wire | None:
    if gone := missing(NEEDED):
        log.error("PyMongo has changed: reads go its own way, which is slower", missing=gone)
        return None
    return Wire(client, timeout)
