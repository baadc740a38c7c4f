"""What holds for every request: an id, a measured time, and no error that tells more than it should."""

import re
import time
from functools import cache

import structlog
import uuid_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datacosmos.http.problems import problem
from datacosmos.observability import REQUEST_SECONDS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Requests:
    """Gives each request its id (the client's, where it is a sane one), measures it, and masks what fails in it.

    The id stands in `scope["state"]["request_id"]`, in the response and on every log line. A failure after the
    response has begun is raised on, so that the server breaks the transfer off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(REQUEST_ID, ""))
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_marked)
            except ClientDisconnect:
                log.debug("client left", method=scope["method"], route=_route(scope))
            except Exception:
                log.exception("request failed", method=scope["method"], route=_route(scope))
                if status:
                    raise
                detail = f"An unexpected error; the log tells more under the request id {request_id}."
                await problem(500, detail)(scope, receive, send_marked)
            finally:
                _observe(scope, status, time.perf_counter() - began)


def _request_id(asked: str) -> str:
    return asked if SANE_ID.fullmatch(asked) else uuid_utils.uuid4().hex


def _route(scope: Scope) -> str:
    """The route's template: paths as they are would make a time series each."""
    return getattr(scope.get("route"), "path", None) or "other"


def _observe(scope: Scope, status: int, seconds: float) -> None:
    """A status of 0 means that the client went before an answer began."""
    method = scope["method"] if scope["method"] in METHODS else "other"
    _timer(method, _route(scope), str(status)).observe(seconds)


_timer = cache(REQUEST_SECONDS.labels)  # the labels are few, and finding them each time takes longer than observing
