"""What stands on each line of the log about who asked, where a connection becomes a WebSocket."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from structlog.contextvars import bind_contextvars, get_contextvars

from datacosmos.http.middleware import Requests
from datacosmos.programs.server import serving
from tests.lines import line_to
from tests.unit.http.echo import settings_of

LONG = 1 << 20  # bytes: more than are read before the application asks for them
HEAD = "HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = (
    f"GET /socket {HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_a_websocket_has_nothing_of_a_request_before_it_on_its_connection() -> None:
    seen = list[dict[str, Any]]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            seen.append(get_contextvars())
            socket = WebSocket(scope, receive, send)
            await socket.accept()
            await socket.close()
        else:
            bind_contextvars(subject="ada")
            body = await Request(scope, receive).body()
            await JSONResponse(len(body))(scope, receive, send)

    options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "websockets": ("/socket",)}
    async with serving(Requests(app), settings_of(), **options) as address, line_to(address) as client:
        await client.send(f"POST / {HEAD}Content-Length: {LONG}\r\n\r\n{'x' * LONG}")
        assert (await client.answer())[2] == LONG
        await client.send(UPGRADE)
        await client.ended()
    assert seen == [{}]
