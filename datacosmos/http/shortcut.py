"""A way to one endpoint that leads past the routes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from datacosmos.http.middleware import Requests


class Shortcut:
    """Answers POST at one path beside an application, for which choosing a route costs as much as a short query.

    The endpoint only reads, and `handlers` answer what it raises. `quick` is given that way and may answer without it.
    Whatever else is asked of the path is left to the application.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        handlers: Mapping[Any, ExceptionHandler],
        quick: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    ) -> None:
        self._app = app
        self._route = Route(path, endpoint, methods=["POST"])
        self._post = Requests(quick(ExceptionMiddleware(self._route.app, handlers)), writing=())

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._route.path:
            scope["route"] = self._route  # by which it is measured
            return self._post(scope, receive, send)
        return self._app(scope, receive, send)
