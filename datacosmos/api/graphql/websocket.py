"""GraphQL over WebSocket, after https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md (graphql-transport-ws).

Strawberry's handler keeps the protocol's state: the initialisation and its time limit, operations by their ids, pings.
What it takes for granted of a message is checked here first, as it would break off the connection (1006) at a list, a
number, null, or an id that is none; and operations are answered by our own streams.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
import orjson
import structlog
import uuid_utils
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.types.unset import UNSET

from datacosmos.api.graphql import streams
from datacosmos.auth.permissions import Permissions

if TYPE_CHECKING:
    from datacosmos.api.graphql.http import Endpoint

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
INVALID, NOT_ACCEPTABLE, RESTART, INTERNAL = 4400, 4406, 1012, 1011
SHORT = 120  # bytes of a close frame's reason, which may have 123
LONGEST_ID = 200


class _Payload(msgspec.Struct, rename="camel"):
    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


class _Subscribe(msgspec.Struct):
    id: str
    payload: _Payload


class _Complete(msgspec.Struct):
    id: str


class _Other(msgspec.Struct):
    payload: dict[str, Any] | None = None


Kind = Literal["connection_init", "ping", "pong", "subscribe", "complete"]
SHAPES: dict[str, type[msgspec.Struct]] = {
    "connection_init": _Other,
    "ping": _Other,
    "pong": _Other,
    "subscribe": _Subscribe,
    "complete": _Complete,
}


@dataclass(slots=True)
class Connection:
    """Who is at the other end, by the headers or, where it has a token, the payload of the initialisation."""

    headers: Mapping[str, str]
    permissions: Permissions
    connection_params: dict[str, Any] = field(default_factory=dict[str, Any])


async def serve(websocket: WebSocket, endpoint: "Endpoint") -> None:
    offered: list[str] = websocket.scope["subprotocols"]
    if GRAPHQL_TRANSPORT_WS_PROTOCOL not in offered:
        # Taken for as long as it needs to say so: a browser shows no code of a handshake that fails.
        await websocket.accept(offered[0] if offered else None)
        await websocket.close(NOT_ACCEPTABLE, f"Subprotocol not acceptable: speak {GRAPHQL_TRANSPORT_WS_PROTOCOL}")
        return
    await websocket.accept(GRAPHQL_TRANSPORT_WS_PROTOCOL)
    await Handler(websocket, endpoint).handle()


class _Socket:
    """The connection, as Strawberry's handler uses it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.is_closed = False

    async def iter_json(self) -> AsyncGenerator[dict[str, Any]]:
        """Each message, checked; closes the connection at the first that is none of the protocol's."""
        while not self.is_closed:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                yield _read(message.get("text"))
            except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
                await self.close(INVALID, f"Invalid message: {error}")

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Raises WebSocketDisconnected."""
        if self.is_closed:
            raise WebSocketDisconnected
        try:
            await self._websocket.send_text(orjson.dumps(message).decode())
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        if not self.is_closed:
            self.is_closed = True
            await self._websocket.close(code, _shortened(reason))


def _read(text: str | None) -> dict[str, Any]:
    """Raises JSONDecodeError and ValidationError."""
    if text is None:
        raise msgspec.ValidationError("it is not text")
    message = orjson.loads(text)
    kind = message.get("type") if isinstance(message, dict) else None
    shape = SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise msgspec.ValidationError("it is no object with a type of the protocol")
    checked = msgspec.convert(message, shape)
    if isinstance(checked, _Subscribe) and not 0 < len(checked.id) <= LONGEST_ID:
        raise msgspec.ValidationError(f"an id has 1 to {LONGEST_ID} characters")
    if message.get("payload") is None:
        message.pop("payload", None)
    return cast("dict[str, Any]", message)


def _shortened(reason: str) -> str:
    return reason.encode()[:SHORT].decode(errors="ignore")


class Handler(BaseGraphQLTransportWSHandler[Any, Any]):
    """Of one connection. It is its own view, which is asked at the initialisation alone."""

    def __init__(self, websocket: WebSocket, endpoint: "Endpoint") -> None:
        self._socket = _Socket(websocket)
        self._endpoint = endpoint
        super().__init__(
            view=cast("Any", self),
            websocket=cast("Any", self._socket),
            context=Connection(websocket.headers, endpoint.access.admit(websocket.headers)),
            root_value=None,
            schema=cast("Any", None),
            connection_init_wait_timeout=endpoint.settings.head_timeout,
            max_subscriptions_per_connection=endpoint.settings.subscriptions_per_connection,
        )

    async def on_ws_connect(self, context: Connection) -> Any:
        given = (value for name, value in context.connection_params.items() if name.lower() == "authorization")
        if isinstance(token := next(given, None), str):
            context.permissions = self._endpoint.access.admit({"authorization": token})
        return UNSET

    async def handle_subscribe(self, message: Any) -> None:
        most = self.max_subscriptions_per_connection
        is_new = self.connection_acknowledged and message["id"] not in self.operations
        if is_new and len(self.operations) >= (most or 0):
            detail = f"a connection may have {most} operations at once: end others, or open another connection"
            error = {"message": detail, "extensions": {"code": "UNAVAILABLE"}}
            await self.send_message(cast("Any", {"id": message["id"], "type": "error", "payload": [error]}))
        else:
            await super().handle_subscribe(message)

    async def run_operation(self, operation: Operation[Any, Any]) -> None:
        request_id = uuid_utils.uuid4().hex
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                await self._answer(operation, request_id)
        except WebSocketDisconnected:
            pass
        except Exception:
            log.exception("operation failed", request_id=request_id)
            await self._socket.close(INTERNAL, f"An unexpected error; the log tells more under {request_id}")
        finally:
            self._forget(operation)

    async def _answer(self, operation: Operation[Any, Any], request_id: str) -> None:
        context = self._endpoint.context(
            self.context.permissions, request_id, operation.operation_name, self._endpoint.open_spool()
        )
        asked = streams.Operation(operation.query, operation.variables, operation.operation_name)
        async with aclosing(self._endpoint.streams.answers(asked, context)) as answers:
            async for answer in answers:
                await self._tell(operation, "error" if answer.ended else "next", answer.body)
                if answer.ended:
                    return
        if self._endpoint.feed.is_stopping:  # not complete: the client is to come back
            self._forget(operation)
            if not self.operations:
                await self._socket.close(RESTART, "Service restart")
        else:
            await operation.send_operation_message({"id": operation.id, "type": "complete"})

    def _forget(self, operation: Operation[Any, Any]) -> None:
        """Unless its client has ended it, and given its id to another one."""
        if self.operations.get(operation.id) is operation:
            del self.operations[operation.id]

    async def _tell(self, operation: Operation[Any, Any], kind: str, body: bytes) -> None:
        message = {"id": operation.id, "type": kind, "payload": orjson.Fragment(body)}
        await operation.send_operation_message(cast("Any", message))
