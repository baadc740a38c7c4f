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

from datacosmos.calculation.client import ById, ByName, Calculation, connect
from datacosmos.errors import CalculationUnavailable, CannotForecast, DatacosmosError, QueryError, UnknownSeries
from datacosmos.server import serving
from datacosmos.settings import Settings

SECRET = "the secret of these tests, long enough"
AVERAGE = {"count": 2, "avg": 1.5, "sum": 3.0}
SOON = timedelta(seconds=5)


@asynccontextmanager
async def service(settings: Settings, answer: Callable[[Request], Response]) -> AsyncGenerator[Calculation]:
    async def endpoint(request: Request) -> Response:
        return answer(request)

    app = Starlette(routes=[Route("/{path:path}", endpoint)])
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        connect(address, secret=SECRET, timeout=SOON) as calculation,
    ):
        yield calculation


@asynccontextmanager
async def raw_service(
    treat: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Takes each request and leaves the rest to `treat`; its address, and what was asked."""
    asked: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await treat(writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
        server.close()


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
    async with connect(f"http://127.0.0.1:{port}", secret=SECRET, timeout=SOON) as calculation:
        with pytest.raises(CalculationUnavailable, match="can't be reached"):
            await calculation.average(ById("s"))
    assert len(tries) == 2


async def test_an_answer_that_does_not_come_in_time_is_not_asked_for_again() -> None:
    over = asyncio.Event()

    async def wait(_: asyncio.StreamWriter) -> None:
        await over.wait()

    async with raw_service(wait) as (address, asked):
        async with connect(address, secret=SECRET, timeout=timedelta(milliseconds=200)) as calculation:
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
        connect(address, secret=SECRET, timeout=SOON) as calculation,
    ):
        with pytest.raises(CalculationUnavailable, match="can't be reached"):
            await calculation.average(ById("s"))
    assert len(asked) == 1
