"""What a connection may send until there is a request, told in bytes."""

import asyncio
import resource
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from datacosmos.errors import Overloaded
from datacosmos.http.admission import RESERVE, Admission, most_connections
from datacosmos.http.bodies import BodyTooSlow
from datacosmos.http.problems import problem
from tests.lines import OWN, Line, line_to
from tests.unit.http.echo import echo, line, refused, server, settings_of

OFFERS = {
    "http/2, as Java": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
    "http/2 and more": "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c, HTTP/2.0\r\n",
    "websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n",
    "TLS": "Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "body apart"])
@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "chunked"])
async def test_an_offer_to_upgrade_leaves_the_request_and_the_next_one_whole(
    offer: str, *, apart: bool, chunked: bool
) -> None:
    framing, body = (
        ("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n") if chunked else ("Content-Length: 4", "body")
    )
    head = f"POST /first HTTP/1.1\r\nHost: x\r\nEmpty:\r\n{offer}{framing}\r\n\r\n"
    following = "GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
    async with line() as client:
        for part in [head, body, following] if apart else [head + body + following]:
            await client.send(part)
            await asyncio.sleep(0.01 if apart else 0)  # so that they arrive apart
        status, _, first = await client.answer()
        assert (status, first["path"], first["body"]) == (200, "/first", "body")
        assert {"upgrade", "http2-settings"}.isdisjoint(first["names"])
        assert "empty" in first["names"]
        status, _, second = await client.answer()
        assert (status, second["path"], second["body"]) == (200, "/second", "")


async def test_offers_without_a_body_are_answered_too_one_after_the_other() -> None:
    request = f"GET /plain HTTP/1.1\r\nHost: x\r\n{OFFERS['http/2, as Java']}\r\n"
    async with line() as client:
        await client.send(request * 3)
        assert [await client.status() for _ in range(3)] == [200] * 3


LARGE = {
    "one header": "GET / HTTP/1.1\r\nHost: x\r\nA: " + "a" * (1 << 20),
    "a path": "GET /" + "a" * (1 << 20),
    "a name": "GET / HTTP/1.1\r\n" + "a" * (1 << 20),
    "empty lines": "\r\n" * (1 << 19),
}


@pytest.mark.parametrize("head", LARGE.values(), ids=LARGE)
async def test_a_head_beyond_its_size_is_refused_and_read_no_further(head: str) -> None:
    before = refused("heads")
    async with line() as client:
        await client.send(head)
        status, headers, body = await client.answer()
        assert (status, headers["connection"]) == (431, "close")
        assert "65536 bytes" in body["detail"]
        assert await client.ended() == b""
    assert refused("heads") == before + 1


@pytest.mark.parametrize("rest", ["\r\n", "a"])
async def test_a_request_has_so_many_headers_and_no_more(rest: str) -> None:
    before = refused("headers")
    async with line() as client:
        await client.send("GET / HTTP/1.1\r\n" + "a:\r\n" * 200 + "\r\n")
        assert await client.status() == 200
        await client.send("GET / HTTP/1.1\r\n" + "a:\r\n" * 201 + rest)
        status, headers, body = await client.answer()
        assert (status, headers["connection"]) == (431, "close")
        assert "200 headers" in body["detail"]
        assert await client.ended() == b""
    assert refused("headers") == before + 1


async def test_the_headers_of_a_trailer_count_too_also_where_another_request_follows_at_once() -> None:
    head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with line() as client:
        await client.send(head + "4\r\nbody\r\n0\r\n" + "a:\r\n" * 199 + "\r\n" + head)
        assert await client.status() == 431
        assert await client.ended() == b""


async def test_a_head_of_just_its_size_is_taken() -> None:
    head = "GET / HTTP/1.1\r\nHost: x\r\nA: "
    async with line(head_max_bytes=10_000) as client:
        await client.send(head + "a" * (10_000 - len(head) - 4) + "\r\n\r\n")
        assert await client.status() == 200


@pytest.mark.parametrize("rest", ["0\r\nA: " + "a" * (1 << 20), "1;" + "a" * (1 << 20)], ids=["trailer", "extension"])
async def test_what_is_sent_between_the_bytes_of_a_body_is_bounded_too(rest: str) -> None:
    async with line() as client:
        await client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
        await client.send(rest)
        assert await client.status() == 431


async def test_a_head_that_does_not_end_in_time_is_refused() -> None:
    before = refused("slow_heads")
    async with line(head_timeout="200ms") as client:
        for part in ("GET / HTTP/1.1\r\n", "Host: x\r\n", "A: "):
            await client.send(part)
            await asyncio.sleep(0.02)
        status, headers, body = await client.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert "within 0.2 s" in body["detail"]
        assert await client.ended() == b""
    assert refused("slow_heads") == before + 1


async def test_so_is_a_second_one_on_the_same_connection() -> None:
    async with line(head_timeout="200ms") as client:
        await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.status() == 200
        await client.send("GET / HTTP/1.1\r\n")
        assert await client.status() == 408


async def test_a_connection_on_which_nothing_comes_ends() -> None:
    async with line(head_timeout="200ms") as client:
        assert await client.ended() == b""


async def test_the_rest_of_a_body_that_was_answered_already_has_an_end() -> None:
    async with line(head_timeout="200ms") as client:
        await client.send("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert await client.status() == 200
        assert await client.ended() == b""


async def test_a_rest_that_comes_in_time_leaves_the_connection_whole() -> None:
    async with line() as client:
        await client.send("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
        assert await client.status() == 200
        await client.send("halfGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.status() == 200


async def test_a_connection_stays_open_between_requests_for_as_long_as_set() -> None:
    async with line(head_timeout="200ms", idle_timeout="1s") as client:
        await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.status() == 200
        await asyncio.sleep(0.4)
        await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.status() == 200
        assert await client.ended() == b""


async def test_requests_that_wait_for_one_before_them_are_bounded() -> None:
    request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with line() as client:
        await client.send(request * 10)
        assert [await client.status() for _ in range(10)] == [200] * 10
        await client.send(request * 1000)
        assert (await client.ended()).count(b"HTTP/1.1 200") < 1000


async def test_a_body_that_stalls_behind_a_slow_request_is_refused_once_it_is_its_turn() -> None:
    may_end = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = Response("{}")
        try:
            await request.body()
            if request.url.path == "/slow":
                await may_end.wait()
                assert not await request.is_disconnected()
        except BodyTooSlow as error:
            answer = problem(408, str(error))
        await answer(scope, receive, send)

    slow = "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    async with server(app=app, head_timeout="200ms") as address, line_to(address) as client:
        await client.send(slow + "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        await asyncio.sleep(0.5)
        may_end.set()
        assert await client.status() == 200
        assert await client.status() == 408


async def test_whoever_does_not_read_an_answer_is_left() -> None:
    before = refused("stalled_answers")
    async with line(idle_timeout="200ms") as client:
        await client.send("GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            while refused("stalled_answers") == before:
                await asyncio.sleep(0.01)


async def test_what_is_no_http_is_refused_in_the_form_of_all_errors() -> None:
    async with line() as client:
        await client.send("what is this?\r\n\r\n")
        status, headers, body = await client.answer()
        assert (status, headers["content-type"], body["status"]) == (400, "application/problem+json", 400)


REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_short_answer_comes_in_one_piece() -> None:
    async with line() as client:
        for number in (1, 2, 3):
            assert await asked(client) == 200
            assert client.segments() == number


async def test_no_body_follows_the_head_that_answers_head() -> None:
    async with line() as client:
        await client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.send("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        first, second, *rest = (await client.ended()).split(b"\r\n\r\n")
        assert first[:12] == second[:12] == b"HTTP/1.1 200"
        assert rest == [b""]


@pytest.mark.parametrize("value", [b"a", b"a\r\nset-cookie: b"], ids=["fails", "has more than a header in one"])
async def test_an_answer_that_fails_once_it_has_begun_breaks_off(value: bytes) -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2"), (b"a", value)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if value == b"a":
            raise RuntimeError
        await send({"type": "http.response.body", "body": b"{}"})

    async with server(app=app) as address, line_to(address) as client:
        await client.send(REQUEST)
        assert await client.ended() == b""


async def asked(client: Line, request: str = REQUEST) -> int:
    await client.send(request)
    return await client.status()


async def test_a_connection_beyond_the_bound_takes_the_place_of_the_one_that_has_owed_a_head_for_longest() -> None:
    before = refused("connections")
    async with server(max_connections=2) as address, line_to(address) as idle, line_to(address) as owing:
        assert await asked(idle) == 200
        await owing.send("GET / HTTP/1.1\r\n")
        async with line_to(address) as third:
            assert await asked(third) == 200
            status, headers, _ = await owing.answer()
            assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")
            assert await asked(idle) == 200
    assert refused("connections") == before + 1


async def test_where_none_owes_a_head_the_one_without_a_request_for_longest_is_closed() -> None:
    async with server(max_connections=2) as address, line_to(address) as first, line_to(address) as second:
        for client in (first, second, first):
            assert await asked(client) == 200
        async with line_to(address) as third:
            assert await asked(third) == 200
            assert await second.ended() == b""
            assert await asked(first) == 200


async def test_a_body_that_has_stopped_coming_makes_way_too() -> None:
    async with server(max_connections=1) as address, line_to(address) as first:
        await first.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        await asyncio.sleep(0.05)
        async with line_to(address) as second:
            assert await asked(second) == 200
            assert await first.status() == 503


def test_one_that_was_refused_and_lingers_makes_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datacosmos.http.edge.LINGER", 60.0)

    async def linger_and_ask() -> list[int]:
        async with server(max_connections=1, head_timeout="200ms") as address, line_to(address) as first:
            await first.send("GET / HTTP/1.1\r\n")
            assert await first.status() == 408
            async with line_to(address) as second, line_to(address) as third:
                return [await asked(third), await second.status()]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # on which an uncounted one is never read
        assert runner.run(linger_and_ask()) == [200, 503]


async def test_a_connection_that_cannot_be_counted_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    async with server() as address:
        with monkeypatch.context() as patch:
            patch.setattr(Admission, "enter", fail)
            async with line_to(address) as client:
                with suppress(ConnectionResetError):
                    assert await client.ended() == b""
        async with line_to(address) as client:
            assert await asked(client) == 200


async def test_a_connection_that_is_being_answered_is_left_alone_and_the_new_one_refused() -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await end.wait()
        await echo(scope, receive, send)

    async with server(app=app, max_connections=1) as address, line_to(address) as first:
        await first.send(REQUEST)
        await begun.wait()
        async with line_to(address) as second:
            status, headers, _ = await second.answer()
            assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")
        end.set()
        assert await first.status() == 200


@pytest.mark.skipif(OWN is None, reason="this machine has no address but loopback")
@pytest.mark.parametrize("trusted", [False, True])
async def test_one_address_gets_its_part_unless_it_is_a_proxy(*, trusted: bool) -> None:
    host = str(OWN)
    changes: dict[str, Any] = {"max_connections_per_address": 1, "proxies": [host] if trusted else []}
    async with server(host, **changes) as address, line_to(address), line_to(address) as second:
        await second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await second.status() == (200 if trusted else 503)


async def test_addresses_are_told_apart_as_their_owners_are() -> None:
    admission = Admission(settings_of(max_connections_per_address=1, proxies="10.0.0.0/8,fd00::/8"))
    enter = partial(admission.enter, make_room=lambda: False)
    for free in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "fd00::7", None):
        assert enter(free) is enter(free) is None
    for one, same, other in (
        ("203.0.113.1", "::ffff:203.0.113.1", "203.0.113.2"),
        ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
    ):
        source = enter(one)
        with pytest.raises(Overloaded, match="from your address"):
            enter(same)
        admission.leave(enter(other))
        admission.leave(source)
        enter(same)


def test_connections_leave_files_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = iter([(1024, 4096), (1024, 4096), (100, 100), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)])

    def limit(_: int) -> tuple[int, int]:
        return next(limits)

    monkeypatch.setattr("resource.getrlimit", limit)
    assert most_connections(settings_of()) == 1024 - RESERVE
    assert most_connections(settings_of(max_connections=10)) == 10
    assert most_connections(settings_of()) == 50
    assert most_connections(settings_of(max_connections=10**6)) == 10**6
