"""HEAD, wherever GET is answered."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Answered(Exception):
    """Ends what would make the body, once the head of the answer is sent."""


class Head:
    """Answers HEAD with the head of what GET would be answered with."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send(message)
            await send({"type": "http.response.body", "body": b""})
            raise _Answered

        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, send_head)
        except _Answered:
            pass
        finally:
            scope["route"] = asked.get("route")  # by which the request is measured
