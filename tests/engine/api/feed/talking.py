"""A client of graphql-transport-ws that says just what it is told to."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

CHANGES = "subscription($after: String) { changes(after: $after) { cursor events { kind point { id time value } } } }"
PROTOCOL = "graphql-transport-ws"


class Talk:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else orjson.dumps(message).decode())

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return orjson.loads(await self.connection.recv())

    async def begin(self, payload: Mapping[str, Any] | None = None) -> None:
        await self.say({"type": "connection_init"} | ({"payload": payload} if payload else {}))
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, query: str = CHANGES, name: str = "1", **variables: Any) -> None:
        await self.say({"id": name, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    async def changes(self, count: int, name: str = "1") -> list[dict[str, Any]]:
        """The next so many, of one subscription."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            message = await self.hear()
            assert (message["id"], message["type"]) == (name, "next"), message
            [told] = message["payload"]["data"].values()
            self.cursor: str = told["cursor"]
            found += told["events"]
        return found

    async def closed(self) -> int:
        """The code with which it is closed."""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await self.connection.recv()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


@asynccontextmanager
async def talking(
    address: str, *, protocol: str | None = PROTOCOL, path: str = "/graphql", **headers: str
) -> AsyncGenerator[Talk]:
    offered = None if protocol is None else [Subprotocol(protocol)]
    url = address.replace("http://", "ws://") + path
    async with connect(url, subprotocols=offered, additional_headers=headers, proxy=None) as connection:
        yield Talk(connection)
