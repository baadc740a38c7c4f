"""What holds for every request: an id, a time, a line in the log, and no error that tells more than it should."""

import logging
import re
import time
from collections.abc import Awaitable
from functools import cache

import structlog
import uuid_utils
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datacosmos.http.problems import problem
from datacosmos.observability import LOGGED, REQUEST_SECONDS
from datacosmos.slices import InHaste

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
levels = logging.getLogger(__name__)  # asks for its level ten times as fast

REQUEST_ID = "X-Request-ID"
HEADER = REQUEST_ID.lower().encode()
SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
WRITING = frozenset({"DELETE", "PATCH", "POST", "PUT"})
METHODS = WRITING | {"GET", "HEAD", "OPTIONS"}


class Requests:
    """Gives each request its id (the client's, where it is a sane one), measures it, and masks what fails in it.

    The id stands in `scope["state"]["request_id"]`, in the response and on every log line. Each request leaves one
    line, at info where it wrote or failed, else at debug; `scope["state"]` tells in "reads" that it wrote nothing for
    all its method, and in "failed" of a failure that no status tells. A failure after the response has begun is raised
    on, so that the server breaks the transfer off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            structlog.contextvars.clear_contextvars()  # of a request before on its connection
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        def send_marked(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id.encode())]
            return send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            with InHaste():
                await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            pass  # the line in the log has no status then
        except Exception as error:
            log.exception("request failed", method=scope["method"], route=_route(scope))
            if status:
                error.add_note(LOGGED)
                raise
            detail = f"An unexpected error; the log tells more under the request id {request_id}."
            await problem(500, detail)(scope, receive, send_marked)
        finally:
            self._conclude(scope, status, time.perf_counter() - began)
            structlog.contextvars.unbind_contextvars("request_id", "subject")

    def _conclude(self, scope: Scope, status: int, seconds: float) -> None:
        """A status of 0 means that the client went before an answer began."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = _route(scope)
        _timer(method, route, status).observe(seconds)
        state = scope["state"]
        has_failed, writes = status >= 400 or state.get("failed"), method in WRITING and not state.get("reads")
        level = logging.INFO if has_failed or writes else logging.DEBUG
        if levels.isEnabledFor(level):
            log.log(level, "request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _request_id(scope: Scope) -> str:
    asked = dict(reversed(scope["headers"])).get(HEADER, b"")  # the first of several, as a proxy adds others behind it
    return asked.decode() if SANE_ID.fullmatch(asked) else uuid_utils.uuid4().hex


def _route(scope: Scope) -> str:
    """The route's template: paths as they are would make a time series each."""
    return getattr(scope.get("route"), "path", None) or "other"


_timer = cache(REQUEST_SECONDS.labels)  # the labels are few, and finding them each time takes longer than observing
