"""Which connections are let in: so many in all, and so many from one address."""

import resource
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

import structlog

from datacosmos.bounds import Bound
from datacosmos.settings import Settings

log = structlog.stdlib.get_logger(__name__)
RESERVE = 256  # open files for the engines' connections, answers on disk, child processes and the log
V6_PREFIX = 64  # bits: what one customer of a provider has, whose addresses are one here


class Admission:
    """Counts connections, also by the address they come from, but for loopback and the proxies of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._all = Bound("connections", most_connections(settings), "connections")
        each = settings.max_connections_per_address
        self._each = Bound("connections_per_address", each, "connections from your address")
        self._from: Counter[str] = Counter()
        self._proxies = [ip_network(proxy) for proxy in settings.proxies]

    def enter(self, host: str | None, make_room: Callable[[], bool]) -> str | None:
        """Whom to count the connection for, which `leave` wants. Raises Overloaded.

        Where it is one too many in all, `make_room` may have another leave.
        """
        source = self._source(host)
        if source is not None and self._from[source] >= self._each.most:
            raise self._each.refusal()
        if self._all.held >= self._all.most:
            refusal = self._all.refusal()
            if not make_room():
                raise refusal
        self._all.take()
        if source is not None:
            self._from[source] += 1
        return source

    def leave(self, source: str | None) -> None:
        self._all.give_back()
        if source is not None:
            self._from[source] -= 1
            if self._from[source] == 0:
                del self._from[source]

    def _source(self, host: str | None) -> str | None:
        """None for those that are not counted."""
        if host is None:
            return None
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_loopback or any(address in proxies for proxies in self._proxies):
            return None
        if isinstance(address, IPv6Address):
            return str(ip_network((address, V6_PREFIX), strict=False))
        return str(address)


def most_connections(settings: Settings) -> int:
    """As set, where the limit of open files leaves room for so many."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return settings.max_connections
    room = max(files - RESERVE, files // 2)
    if room < settings.max_connections:
        log.info("fewer connections than set", set=settings.max_connections, most=room, files=files)
    return min(settings.max_connections, room)
