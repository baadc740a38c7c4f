"""The client before scripted ends of the wire; before the service itself in test_app.py."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import jwt
import orjson
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datacosmos.auth.issuers import SharedSecret
from datacosmos.calculation.client import LIMITS, PING_PATIENCE, ById, ByName, Calculation, connect
from datacosmos.calculation.replicas import PATIENCE, PROBE
from datacosmos.errors import CalculationUnavailable, CannotForecast, DatacosmosError, QueryError, UnknownSeries
from datacosmos.programs.server import serving
from datacosmos.settings import Settings

SECRET = "the secret of these tests, long enough"
OURS = SharedSecret(SECRET)
AVERAGE = {"count": 2, "avg": 1.5, "sum": 3.0}
SOON = timedelta(seconds=5)


@asynccontextmanager
async def service(settings: Settings, answer: Callable[[Request], Response]) -> AsyncGenerator[Calculation]:
    async def endpoint(request: Request) -> Response:
        return answer(request)

    app = Starlette(routes=[Route("/{path:path}", endpoint)])
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        connect(address, issuer=OURS, timeout=SOON) as calculation,
    ):
        yield calculation


@asynccontextmanager
async def raw_service(
    treat: Callable[[asyncio.StreamWriter], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    live: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None,
) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Takes each request and leaves the rest to `treat`, or to `live` where it asks for that; its address, and what
    else was asked."""
    asked: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if live is not None and head.startswith(b"GET /health/live "):
            await live(writer)
        else:
            asked.append(head)
            await treat(writer)
        writer.close()

    server = await asyncio.start_server(accept, host, port)
    async with server:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}", asked
        server.close()


async def average(writer: asyncio.StreamWriter) -> None:
    body = orjson.dumps(AVERAGE)
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()


class Hanging:
    """Answers nothing before it is told to."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def __call__(self, _: asyncio.StreamWriter) -> None:
        await self.over.wait()


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that has two addresses, as that of two containers has."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **named: Any) -> Any:
        addresses = ("127.0.0.1", "127.0.0.2") if host == "calculation" else (host,)
        return [found for address in addresses for found in look_up(address, *args, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return "calculation"


async def test_each_call_carries_a_token_of_the_role_service_that_is_soon_over(settings: Settings) -> None:
    tokens: list[str] = []

    def answer(request: Request) -> Response:
        tokens.append(request.headers["authorization"].removeprefix("Bearer "))
        return Response(orjson.dumps(AVERAGE))

    async with service(settings, answer) as calculation:
        await calculation.average(ById("s"))
    [claims] = [jwt.decode(token, SECRET, algorithms=["HS256"]) for token in tokens]  # pyright: ignore[reportUnknownMemberType]
    assert claims["role"] == "service"
    assert 0 < claims["exp"] - datetime.now(UTC).timestamp() <= 60


async def test_the_id_of_the_request_that_is_answered_is_passed_along(settings: Settings) -> None:
    seen: list[str | None] = []

    def answer(request: Request) -> Response:
        seen.append(request.headers.get("x-request-id"))
        return Response(orjson.dumps(AVERAGE))

    async with service(settings, answer) as calculation:
        with structlog.contextvars.bound_contextvars(request_id="trace-7"):
            await calculation.average(ById("s"))
        await calculation.average(ById("s"))
    assert seen == ["trace-7", None]


async def test_equal_questions_asked_meanwhile_are_one_request(settings: Settings) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: Request) -> Response:
        asked.append(dict(request.query_params))
        return Response(orjson.dumps(AVERAGE))

    async with service(settings, answer) as calculation:
        equal = [calculation.average(ById("s"), 1) for _ in range(60)]
        answers = await asyncio.gather(*equal, calculation.average(ById("other"), 1))
    assert [(average.count, average.sum) for average in answers] == [(2, 3.0)] * 61
    assert sorted(question["id"] for question in asked) == ["other", "s", "s"]


async def test_names_and_ranges_are_sent_and_nothing_for_what_is_open(settings: Settings) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    def answer(request: Request) -> Response:
        seen.append((request.url.path, dict(request.query_params)))
        return Response(orjson.dumps(AVERAGE))

    name = "wind/mast 1?&=ü\u20ac"
    async with service(settings, answer) as calculation:
        await calculation.average(ByName("ada", name), -5, 7)
        await calculation.average(ByName(None, name), start=0)
    path = "/calculations/average"
    assert seen == [
        (path, {"owner": "ada", "name": name, "start": "-5", "end": "7"}),
        (path, {"name": name, "start": "0"}),
    ]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, QueryError), (404, UnknownSeries), (422, CannotForecast)],
)
async def test_what_the_service_refuses_is_an_error_of_its_kind_in_its_words(
    settings: Settings, status: int, error: type[DatacosmosError]
) -> None:
    async with service(settings, lambda _: Response(orjson.dumps({"detail": "so it is"}), status)) as calculation:
        with pytest.raises(error, match="so it is"):
            await calculation.forecast(ById("s"), horizon=1, levels=[80])


@pytest.mark.parametrize(("status", "says"), [(401, "JWT_SECRET"), (403, "JWT_SECRET"), (500, "500"), (503, "503")])
async def test_a_service_that_fails_is_unavailable(settings: Settings, status: int, says: str) -> None:
    async with service(settings, lambda _: Response("secret details", status)) as calculation:
        for call in (calculation.average(ById("s")), calculation.ping()):
            with pytest.raises(CalculationUnavailable, match=says) as failed:
                await call
            assert "secret" not in str(failed.value)


async def test_a_failed_connect_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    tries: list[int] = []
    connect_tcp = anyio.connect_tcp

    async def counted(*args: Any, **kwargs: Any) -> Any:
        tries.append(port)
        return await connect_tcp(*args, **kwargs)

    monkeypatch.setattr(anyio, "connect_tcp", counted)
    async with connect(f"http://127.0.0.1:{port}", issuer=OURS, timeout=SOON) as calculation:
        with pytest.raises(CalculationUnavailable, match="can't be reached"):
            await calculation.average(ById("s"))
    assert len(tries) == 2


async def test_an_answer_that_does_not_come_in_time_is_not_asked_for_again() -> None:
    over = asyncio.Event()

    async def wait(_: asyncio.StreamWriter) -> None:
        await over.wait()

    async with raw_service(wait) as (address, asked):
        async with connect(address, issuer=OURS, timeout=timedelta(milliseconds=200)) as calculation:
            with pytest.raises(CalculationUnavailable, match="did not answer in time"):
                await calculation.average(ById("s"))
        over.set()
    assert len(asked) == 1


async def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    async def break_off(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"count"')
        await writer.drain()

    async with (
        raw_service(break_off) as (address, asked),
        connect(address, issuer=OURS, timeout=SOON) as calculation,
    ):
        with pytest.raises(CalculationUnavailable, match="can't be reached"):
            await calculation.average(ById("s"))
    assert len(asked) == 1


async def test_where_one_replica_hangs_the_other_is_asked_within_a_second(named: str) -> None:
    hanging = Hanging()
    async with raw_service(hanging) as (address, hung):
        port = int(address.rpartition(":")[2])
        async with raw_service(average, host="127.0.0.2", port=port) as (_, asked):
            async with connect(f"http://{named}:{port}", issuer=OURS, timeout=SOON) as calculation:
                for _ in range(6):
                    assert (await calculation.average(ById("s"))).avg == 1.5
                await calculation.ping()
            hanging.over.set()
    assert PATIENCE + PROBE < PING_PATIENCE <= 1
    # That it hangs was found out once.
    assert [head.split()[1] for head in hung] == [b"/calculations/average?id=s", b"/health/live"]
    assert {head.partition(b"Host: ")[2].split()[0] for head in asked} == {f"{named}:{port}".encode()}


async def test_a_replica_that_is_slow_but_lives_is_waited_for(named: str) -> None:
    slow, alive = Hanging(), 0

    async def live(writer: asyncio.StreamWriter) -> None:
        nonlocal alive
        alive += 1
        if alive == 2:
            slow.over.set()
        await average(writer)

    async def treat(writer: asyncio.StreamWriter) -> None:
        await slow(writer)
        await average(writer)

    async with raw_service(treat, live=live) as (address, asked):
        port = int(address.rpartition(":")[2])
        async with (
            raw_service(treat, host="127.0.0.2", port=port, live=live) as (_, others),
            connect(f"http://{named}:{port}", issuer=OURS, timeout=SOON) as calculation,
        ):
            assert (await calculation.average(ById("s"))).avg == 1.5
    assert len(asked + others) == 1


async def test_the_service_is_found_well_while_every_connection_waits_for_an_answer() -> None:
    waiting, full = Hanging(), asyncio.Event()

    async def treat(writer: asyncio.StreamWriter) -> None:
        if len(asked) == LIMITS.max_connections:
            full.set()
        if asked[-1].startswith(b"GET /health "):
            await average(writer)
        else:
            await waiting(writer)

    async with raw_service(treat) as (address, asked), connect(address, issuer=OURS, timeout=SOON) as calculation:
        questions = [asyncio.create_task(calculation.average(ById("s"), n)) for n in range(LIMITS.max_connections or 0)]
        try:
            await full.wait()
            await calculation.ping()
        finally:
            waiting.over.set()
            await asyncio.gather(*questions, return_exceptions=True)


@pytest.mark.parametrize("gone", ["127.0.0.1", "127.0.0.2"])
async def test_a_replica_that_is_gone_costs_no_answer(named: str, gone: str) -> None:
    there = "127.0.0.2" if gone == "127.0.0.1" else "127.0.0.1"
    async with raw_service(average, host=there) as (address, asked):
        port = address.rpartition(":")[2]
        async with connect(f"http://{named}:{port}", issuer=OURS, timeout=SOON) as calculation:
            for _ in range(4):
                assert (await calculation.average(ById("s"))).avg == 1.5
    assert len(asked) == 4


async def test_a_name_that_can_not_be_looked_up_is_a_service_that_can_not_be_reached() -> None:
    async with connect("http://nowhere.invalid", issuer=OURS, timeout=SOON) as calculation:
        with pytest.raises(CalculationUnavailable, match="can't be reached"):
            await calculation.average(ById("s"))
