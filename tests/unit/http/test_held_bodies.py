"""What is held of bodies at once, and how slowly one may come: told of an application that knows nothing of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from datacosmos.http.held_bodies import STALLED
from datacosmos.http.problems import handle_problems
from tests.lines import Line, line_to
from tests.unit.http.echo import refused, server

# A quarter is set apart for small bodies, so that 300,000 bytes are left for others.
BOUNDED: dict[str, Any] = {"bodies_max_bytes": 400_000}


def app() -> FastAPI:
    app = FastAPI()
    handle_problems(app)

    @app.post("/")
    async def _length(request: Request) -> int:
        return len(await request.body())

    return app


def head(length: int | None) -> str:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"


def chunk(size: int) -> str:
    return f"{size:x}\r\n{'x' * size}\r\n"


@asynccontextmanager
async def holding(address: str, length: int) -> AsyncGenerator[Line]:
    """A body on its way, of which all but the last byte is there."""
    async with line_to(address) as line:
        await line.send(head(length) + "x" * (length - 1))
        async with asyncio.timeout(10):
            while await status_of(address, max(300_001 - length, 70_000)) == 200:
                await asyncio.sleep(0.01)
        yield line


async def status_of(address: str, length: int) -> int:
    async with line_to(address) as line:
        await line.send(head(length) + "x" * length)
        return await line.status()


async def test_a_body_that_finds_no_room_is_refused_before_it_is_read_and_its_connection_left_whole() -> None:
    async with server(app=app(), **BOUNDED) as address, holding(address, 200_000) as first:
        before = refused("bodies")
        async with line_to(address) as second:
            await second.send(head(150_000))
            status, headers, body = await second.answer()
            assert (status, headers["retry-after"]) == (503, "5")
            assert "bytes of request bodies" in body["detail"]
            await second.send("x" * 150_000 + head(3) + "abc")
            assert (await second.answer())[::2] == (200, 3)
        assert refused("bodies") == before + 1
        await first.send("x")
        assert (await first.answer())[::2] == (200, 200_000)
        assert await status_of(address, 150_000) == 200


async def test_a_body_in_chunks_counts_as_it_comes() -> None:
    async with server(app=app(), **BOUNDED) as address, holding(address, 200_000), line_to(address) as second:
        await second.send(head(None) + chunk(80_000))
        await second.send(chunk(80_000))
        assert await second.status() == 503


async def test_small_bodies_are_taken_whatever_the_large_ones_hold() -> None:
    async with server(app=app(), **BOUNDED) as address, holding(address, 300_000):
        assert [await status_of(address, length) for length in (1, 1 << 16, (1 << 16) + 1)] == [200, 200, 503]


@pytest.fixture
def brief_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datacosmos.http.held_bodies.STALLED", 0.2)


@pytest.mark.usefixtures("brief_stall")
async def test_a_body_that_has_stopped_coming_makes_way_for_another() -> None:
    async with server(app=app(), **BOUNDED) as address, holding(address, 250_000) as stopped:
        async with asyncio.timeout(10):
            while await status_of(address, 100_000) != 200:
                await asyncio.sleep(0.01)
        status, headers, _ = await stopped.answer()
        assert (status, headers["retry-after"]) == (503, "5")
        assert await status_of(address, 300_000) == 200


async def test_a_body_does_not_make_way_in_vain() -> None:
    async with (
        server(app=app(), **BOUNDED) as address,
        line_to(address) as coming,
        holding(address, 100_000) as stopped,
    ):
        await coming.send(head(200_000))
        ends = asyncio.get_running_loop().time() + 1.2 * STALLED
        while asyncio.get_running_loop().time() < ends:  # by when only the other one has stopped
            await coming.send("x" * 1000)
            await asyncio.sleep(0.02)
            assert await status_of(address, 200_000) == 503
        await stopped.send("x")
        assert (await stopped.answer())[::2] == (200, 100_000)


@pytest.mark.usefixtures("brief_stall")
async def test_a_body_that_is_whole_does_not_make_way_while_it_is_answered() -> None:
    began, end = asyncio.Event(), asyncio.Event()
    answering = app()

    @answering.post("/slow")
    async def _slow(request: Request) -> StreamingResponse:
        await request.body()

        async def text() -> AsyncGenerator[str]:
            yield "begun"
            began.set()
            await end.wait()
            yield "ended"

        return StreamingResponse(text())

    async with server(app=answering, **BOUNDED) as address, line_to(address) as first:
        await first.send("POST /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 250000\r\n\r\n")
        await first.send("x" * 250_000)
        await began.wait()
        await asyncio.sleep(0.3)  # longer than a body may stall
        assert await status_of(address, 100_000) == 503
        end.set()
        assert b"ended" in await first.ended()


async def test_a_body_that_stalls_does_not_break_off_what_is_answered_without_it() -> None:
    answering = FastAPI()

    @answering.get("/")
    async def _slow() -> StreamingResponse:
        async def text() -> AsyncGenerator[str]:
            yield "begun"
            await asyncio.sleep(0.5)  # longer than a body may stall
            yield "ended"

        return StreamingResponse(text())

    before = refused("slow_bodies")
    async with server(app=answering, head_timeout="200ms") as address, line_to(address) as client:
        await client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhalf")
        assert b"ended" in await client.ended()
    assert refused("slow_bodies") == before


async def test_what_a_client_that_leaves_has_sent_is_given_back() -> None:
    async with server(app=app(), **BOUNDED) as address:
        async with holding(address, 300_000):
            pass
        async with asyncio.timeout(10):
            while await status_of(address, 300_000) != 200:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("length", [10_000_000, None], ids=["of known length", "chunked"])
async def test_a_body_that_pauses_is_refused_however_much_has_come(length: int | None) -> None:
    before = refused("slow_bodies")
    async with server(app=app(), head_timeout="200ms") as address, line_to(address) as client:
        await client.send(head(length) + (chunk(9_000_000) if length is None else "x" * 9_000_000))
        status, _, body = await client.answer()
        assert status == 408
        assert "16384 bytes a second" in body["detail"]
        assert await client.ended() == b""
    assert refused("slow_bodies") == before + 1


async def test_a_body_of_which_nothing_comes_is_refused() -> None:
    async with server(app=app(), head_timeout="200ms") as address, line_to(address) as client:
        await client.send(head(10))
        assert await client.status() == 408


async def test_a_body_that_comes_steadily_may_take_its_time() -> None:
    async with server(app=app(), head_timeout="1s", body_min_rate=20) as address, line_to(address) as client:
        await client.send(head(500))
        for _ in range(25):
            await client.send("x" * 20)
            await asyncio.sleep(0.05)
        assert (await client.answer())[::2] == (200, 500)
