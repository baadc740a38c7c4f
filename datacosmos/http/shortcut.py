"""A way to one endpoint that leads past an application's layers and routes."""

from collections.abc import Awaitable, Callable

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from datacosmos.http.middleware import Requests


class Shortcut:
    """Answers usual requests of POST at one path beside an application, whose way to it costs as much as a short query.

    `usual` tells by a request's head what answers it, just as the application would; None leaves it to that.
    """

    def __init__(self, app: ASGIApp, path: str, usual: Callable[[Scope, Receive], ASGIApp | None]) -> None:
        self._app, self._usual = app, usual
        self._route = Route(path, app)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        is_here = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._route.path
        if is_here and (answer := self._usual(scope, receive)):
            scope["route"] = self._route  # by which it is measured
            return Requests(answer)(scope, receive, send)
        return self._app(scope, receive, send)
