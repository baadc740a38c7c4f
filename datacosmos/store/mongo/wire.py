"""A command's bytes on connections that PyMongo's client opened, authenticated and wrapped in TLS.

Its own way of a command takes as long as MongoDB does for a short list. Names of PyMongo that are not public stand here
alone; where one of them is gone, `wire_of` says so and gives None, and commands go PyMongo's own way.
"""

# pyright: reportPrivateUsage=false

import asyncio
import struct
from typing import Any

import bson
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.asynchronous.topology import Topology
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure, ProtocolError
from pymongo.network_layer import AsyncNetworkingInterface, PyMongoProtocol
from pymongo.server_selectors import writable_server_selector

log = structlog.stdlib.get_logger(__name__)
HEAD = struct.Struct("<iiiiiB")  # length, request id, response to, opcode, flags, kind of section
OP_MSG, BEFORE_DOCUMENT, LONGEST = 2013, 5, 48_000_000
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
)


class Wire:
    """Connections to the primary, one for each command under way; it raises what PyMongo raises."""

    def __init__(self, client: AsyncMongoClient[Any], timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self._idle: list[AsyncConnection] = []
        self._number = 0
        self._is_closed = False

    async def ask(self, database: str, command: dict[str, Any], session: AsyncClientSession) -> RawBSONDocument:
        topology = await self._client._get_topology()  # noqa: SLF001 - without it a session has no id
        body = bson.encode(command | {"lsid": session.session_id, "$db": database})
        connection = await self._connection(topology)
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._exchange(connection, body)
        except BaseException as error:
            await connection.close_conn(None)
            if isinstance(error, OSError | ProtocolError):
                await self._drop_idle()
                raise (NetworkTimeout if isinstance(error, TimeoutError) else AutoReconnect)(str(error)) from error
            raise
        self._idle.append(connection)
        if self._is_closed:
            await self._drop_idle()
        if reply["ok"] != 1:
            await self._refuse(dict(reply))
        return reply

    async def close(self) -> None:
        """What is still under way closes its connection itself."""
        self._is_closed = True
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close_conn(None)

    async def _connection(self, topology: Topology) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.conn.is_closing():
                return connection
            await connection.close_conn(None)
        server = await topology.select_server(writable_server_selector, "find")
        connection = await server.pool.connect()
        server.pool.active_contexts.discard(connection.cancel_context)  # else the pool would keep it for ever
        return connection

    async def _exchange(self, connection: AsyncConnection, body: bytes) -> RawBSONDocument:
        self._number = self._number % (2**31 - 1) + 1
        number, protocol = self._number, connection.conn.get_conn
        await protocol.write(HEAD.pack(HEAD.size + len(body), number, 0, OP_MSG, 0, 0) + body)
        reply, _ = await protocol.read(number, LONGEST)
        return RawBSONDocument(bytes(reply[BEFORE_DOCUMENT:]))

    async def _refuse(self, reply: dict[str, Any]) -> None:
        code, message = reply.get("code"), reply.get("errmsg", "")
        if code in NOT_PRIMARY:
            await self._drop_idle()
            raise NotPrimaryError(message, reply)
        raise OperationFailure(message, code, reply)


def wire_of(client: AsyncMongoClient[Any], timeout: float) -> Wire | None:
    missing = [f"{kind.__name__}.{name}" for kind, name in NEEDED if not hasattr(kind, name)]
    if missing:
        log.error("PyMongo has changed: reads go its own way, which is slower", missing=missing)
        return None
    return Wire(client, timeout)
