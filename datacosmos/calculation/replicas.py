"""The replicas behind the Calculation service's name: asked in turn, and not waited for where they hang."""

import asyncio
import socket
from contextlib import suppress
from ipaddress import ip_address

import httpx

PATIENCE = 0.3  # seconds for an answer, after which a replica is asked whether it lives
PROBE = 0.3  # seconds for that answer, without which it hangs
KNOWN_FOR = 5.0  # seconds for which the name's addresses are taken as they were
AVOIDED_FOR = 10.0  # seconds for which a replica that failed is asked last
# What tells that a replica is gone, or will give no answer; asking another is harmless, as calculations change nothing.
FAILURES = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)


class Replicas(httpx.AsyncBaseTransport):
    """Sends each request to one of the addresses of its host's name, and to the next where that one fails or hangs.

    A replica that is merely slow is waited for: it still answers /health/live. The last one is waited for in any case.
    What asks after health has connections apart, as it must not wait for those that the slow answers keep.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, for_health: httpx.AsyncBaseTransport) -> None:
        self._transport, self._for_health = transport, for_health
        self._known: dict[str, tuple[list[str], float]] = {}  # of each name: its addresses, and until when they hold
        self._avoided_until: dict[str, float] = {}
        self._asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        *first, last = [_to(address, request) for address in await self._in_turn(request.url.host)]
        for attempt in first:
            try:
                return await self._answer_of(attempt)
            except FAILURES:
                self._avoided_until[attempt.url.host] = asyncio.get_running_loop().time() + AVOIDED_FOR
        return await self._send(last)

    async def aclose(self) -> None:
        await self._transport.aclose()
        await self._for_health.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        is_for_health = request.url.path.endswith(("/health", "/health/live"))
        return await (self._for_health if is_for_health else self._transport).handle_async_request(request)

    async def _answer_of(self, request: httpx.Request) -> httpx.Response:
        asking = asyncio.create_task(self._send(request))
        try:
            await self._watch(asking, request)
        except BaseException:
            await _drop(asking)
            raise
        return asking.result()

    async def _watch(self, asking: "asyncio.Task[httpx.Response]", request: httpx.Request) -> None:
        """Returns once there is an answer, or an error. Raises ConnectTimeout where the replica hangs."""
        patience = PATIENCE
        while not (await asyncio.wait([asking], timeout=patience))[0]:
            if not await self._lives(request):
                raise httpx.ConnectTimeout("it hangs", request=request)
            patience *= 2

    async def _lives(self, asked: httpx.Request) -> bool:
        url, named = asked.url.copy_with(raw_path=b"/health/live"), {"Host": asked.headers["Host"]}
        probe = httpx.Request("GET", url, headers=named, extensions=asked.extensions)
        with suppress(httpx.TransportError, TimeoutError):
            async with asyncio.timeout(PROBE):
                answer = await self._send(probe)
                await answer.aread()
                return True
        return False

    async def _in_turn(self, host: str) -> list[str]:
        """The addresses, each first when it is its turn; those that failed lately are last."""
        now = asyncio.get_running_loop().time()
        addresses, until = self._known.get(host, ([], now))
        if now >= until:
            addresses = await _look_up(host) or addresses
            self._known[host] = addresses, now + KNOWN_FOR
            self._avoided_until = {address: until for address, until in self._avoided_until.items() if until > now}
        if not addresses:
            raise httpx.ConnectError(f"the name {host} can't be looked up")
        self._asked += 1
        turn = self._asked % len(addresses)
        return sorted(
            addresses[turn:] + addresses[:turn], key=lambda address: self._avoided_until.get(address, 0) > now
        )


async def _look_up(host: str) -> list[str]:
    """The addresses of a name; none where the name server doesn't tell, or not soon."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE + PROBE):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return sorted({str(address[0]) for *_, address in found})
    return []


def _to(address: str, request: httpx.Request) -> httpx.Request:
    """The same request under the same name, sent to one address."""
    extensions = request.extensions | {"sni_hostname": request.url.host}
    url = request.url.copy_with(host=address)
    return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)


async def _drop(asking: "asyncio.Task[httpx.Response]") -> None:
    asking.cancel()
    [outcome] = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(outcome, httpx.Response):
        await outcome.aclose()
