"""What a web page may ask of a service that its reader can reach: a browser asks for any page, with no token needed.

A page whose name was made to mean this machine (DNS rebinding) is recognised by the Host of its requests; a page
elsewhere that writes, or opens a WebSocket, by what the browser says of its origin. Whoever is no browser sends
neither.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import lru_cache, partial

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from datacosmos.http.middleware import Requests

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURS = frozenset({b"same-origin", b"none"})
SHOWN = 80
MISDIRECTED = "no host of ours is {!r}: ask by an address of ours, or name it in DATACOSMOS_ALLOWED_HOSTS"
CROSS_SITE = (
    "a page of another site may neither write here nor open a WebSocket: name its origin in DATACOSMOS_CORS_ORIGINS, "
    "or call from a program"
)
Refuse = Callable[[Scope, int, str], Response]


@dataclass(frozen=True, slots=True)
class Policy:
    """Hosts that requests may be addressed to, besides loopback and `bound`, and origins whose pages may write."""

    hosts: Collection[str]
    origins: Collection[str]
    bound: str


class Guard:
    """Answers 421 to a request for another host, and 403 to a write or a WebSocket of a page of another site."""

    def __init__(self, app: ASGIApp, policy: Policy, refuse: Refuse) -> None:
        self._app, self._refuse = app, refuse
        self._origins = frozenset(origin.lower() for origin in policy.origins)
        self._is_ours = lru_cache(256)(partial(is_allowed, policy=policy))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in ("http", "websocket") and (refusal := self._check(scope)):
            # With its id, and its line in the log.
            return Requests(refusal)(scope, receive, send)
        return self._app(scope, receive, send)

    def _check(self, scope: Scope) -> Response | None:
        named = dict(scope["headers"])
        host, origin, site = named.get(b"host", b""), named.get(b"origin"), named.get(b"sec-fetch-site", b"")
        if not self._is_ours(host):
            return self._refuse(scope, 421, MISDIRECTED.format(host[:SHOWN].decode("latin-1")))
        writes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if writes and (site or origin is not None) and not self._may_write(host, origin, site):
            return self._refuse(scope, 403, CROSS_SITE)
        return None

    def _may_write(self, host: bytes, origin: bytes | None, site: bytes) -> bool:
        if site in OURS:
            return True
        named = (origin or b"null").decode("latin-1").lower()
        if named in self._origins or "*" in self._origins:
            return True
        return not site and named.partition("://")[2] == host.decode("latin-1").lower()


def is_allowed(host: bytes, policy: Policy) -> bool:
    """Whether a Host, with or without a port, is one that we answer for; none at all is no browser's."""
    name = _without_port(host.decode("latin-1").lower())
    if not name or "*" in policy.hosts or name == policy.bound.lower():
        return True
    if any(_matches(name, allowed.lower()) for allowed in ("localhost", "*.localhost", *policy.hosts)):
        return True
    address = _address(name)
    # No name can be made to mean us where the page itself was asked for by a number.
    return address is not None and (address.is_loopback or _is_unspecified(policy.bound))


def _matches(name: str, allowed: str) -> bool:
    return name.endswith(allowed[1:]) if allowed.startswith("*.") else name == allowed


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_unspecified(bound: str) -> bool:
    address = _address(bound)
    return address is not None and address.is_unspecified
