"""A command's bytes on connections that PyMongo's client opened, authenticated and wrapped in TLS.

Its own way of a command takes as long as MongoDB does for a short list. Names of PyMongo that are not public stand here
alone; where one of them is gone, `wire_of` says so and gives None, and commands go PyMongo's own way.
"""

# pyright: reportPrivateUsage=false

import asyncio
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import bson
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.asynchronous.topology import Topology
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure, ProtocolError, PyMongoError
from pymongo.network_layer import AsyncNetworkingInterface, PyMongoProtocol
from pymongo.server_selectors import writable_server_selector

log = structlog.stdlib.get_logger(__name__)
HEAD = struct.Struct("<iiiiiB")  # length, request id, response to, opcode, flags, kind of section
OP_MSG, BEFORE_DOCUMENT, LONGEST = 2013, 5, 48_000_000
PATIENCE = 0.05  # seconds that an operation may go on after it was asked to end, before it is asked again
CURSOR = b"\x03cursor\0"  # what a reply begins with that refuses nothing, behind its size
NOT_PRIMARY = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
NEEDED: tuple[tuple[type[Any], str], ...] = (
    (AsyncMongoClient, "_get_topology"),
    (Topology, "select_server"),
    (Pool, "connect"),
    (AsyncConnection, "close_conn"),
    (AsyncNetworkingInterface, "get_conn"),
    (AsyncNetworkingInterface, "is_closing"),
    (PyMongoProtocol, "write"),
    (PyMongoProtocol, "read"),
    (PyMongoProtocol, "transport"),
    (PyMongoProtocol, "_pending_messages"),
)


class Wire:
    """Connections to the primary, one for each command under way; it raises what PyMongo raises."""

    def __init__(self, client: AsyncMongoClient[Any], timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self._idle: list[AsyncConnection] = []
        self._number = 0
        self._is_closed = False

    async def id_of(self, session: AsyncClientSession) -> Mapping[str, Any]:
        """By which MongoDB knows a session."""
        await self._client._get_topology()  # noqa: SLF001 - before that it has none
        return session.session_id

    async def ask(self, database: str, command: dict[str, Any], session_id: Mapping[str, Any]) -> memoryview:
        """The reply's bytes. Left early, the operation ends in MongoDB too, by its session, before this does."""
        body = bson.encode(command | {"lsid": session_id, "$db": database})
        connection = self._recall() or await self._connect()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        late = loop.call_at(deadline, connection.conn.get_conn.transport.abort)
        try:
            reply = await self._exchange(connection, body)
        except asyncio.CancelledError:
            await self._end(connection, session_id)
            raise
        except (OSError, ProtocolError) as error:
            await connection.close_conn(None)
            await self._drop_idle()
            raise (NetworkTimeout if loop.time() >= deadline else AutoReconnect)(str(error)) from error
        finally:
            late.cancel()
        self._idle.append(connection)
        if self._is_closed:
            await self._drop_idle()
        if bytes(reply[4 : 4 + len(CURSOR)]) != CURSOR:
            await self._check(RawBSONDocument(bytes(reply)))
        return reply

    async def close(self) -> None:
        """What is still under way closes its connection itself."""
        self._is_closed = True
        await self._drop_idle()

    async def _end(self, connection: AsyncConnection, session_id: Mapping[str, Any]) -> None:
        """It is over once its reply has come, which PyMongo then no longer waits for."""
        protocol = connection.conn.get_conn
        try:
            await kill(self._client, session_id, lambda: not protocol._pending_messages)  # noqa: SLF001
        finally:
            await connection.close_conn(None)

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close_conn(None)

    def _recall(self) -> AsyncConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.conn.is_closing():
                return connection
        return None

    async def _connect(self) -> AsyncConnection:
        topology = await self._client._get_topology()  # noqa: SLF001
        server = await topology.select_server(writable_server_selector, "find")
        connection = await server.pool.connect()
        server.pool.active_contexts.discard(connection.cancel_context)  # else the pool would keep it for ever
        return connection

    async def _exchange(self, connection: AsyncConnection, body: bytes) -> memoryview:
        self._number = self._number % (2**31 - 1) + 1
        number, protocol = self._number, connection.conn.get_conn
        await protocol.write(HEAD.pack(HEAD.size + len(body), number, 0, OP_MSG, 0, 0) + body)
        reply, _ = await protocol.read(number, LONGEST)
        return memoryview(reply)[BEFORE_DOCUMENT:]

    async def _check(self, reply: Mapping[str, Any]) -> None:
        """Raises what a reply refuses the command for."""
        if reply["ok"] == 1:
            return
        code, message = reply.get("code"), reply.get("errmsg", "")
        if code in NOT_PRIMARY:
            await self._drop_idle()
            raise NotPrimaryError(message, dict(reply))
        raise OperationFailure(message, code, dict(reply))


async def kill(client: AsyncMongoClient[Any], session_id: Mapping[str, Any], is_over: Callable[[], bool]) -> None:
    """Ends what runs in a session: again and again until it is over, as MongoDB may not even have read it yet."""
    command = {"killSessions": [session_id]}
    with suppress(PyMongoError):  # MongoDB is unavailable, and ends by itself what lost its client
        await client.admin.command(command)
        while not is_over():
            await asyncio.sleep(PATIENCE)
            await client.admin.command(command)


def wire_of(client: AsyncMongoClient[Any], timeout: float) -> Wire | None:
    missing = [f"{kind.__name__}.{name}" for kind, name in NEEDED if not _has(kind, name)]
    if missing:
        log.error("PyMongo has changed: reads go its own way, which is slower", missing=missing)
        return None
    return Wire(client, timeout)


def _has(kind: type[Any], name: str) -> bool:
    """A name of the class, or of what it gives each object at first."""
    return hasattr(kind, name) or name in kind.__init__.__code__.co_names
