"""What anyone can do to a service before there is a request: real processes, watched from outside."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.lines import Line, line_to
from tests.programs import Program, program

MIB = 1 << 20
UPLOAD = 64 * MIB
SMALL = 64 << 10  # what is set apart for the body of each connection
BOUNDS = {
    "DATACOSMOS_HEAD_TIMEOUT": "3s",
    "DATACOSMOS_MAX_CONNECTIONS": "100",
    "DATACOSMOS_BODIES_MAX_BYTES": str(3 * UPLOAD + 100 * SMALL),
}
HEAD = "POST /series HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
READING = {"timestamp": "2017-01-01 13:05:12", "lat": 40.7, "long": -73.9, "accuracy": 11, "speed": 1, "user_id": "ada"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Program]:
    folder = tmp_path_factory.mktemp("service")
    async with program(folder, "serve", "--port", "0", **BOUNDS) as service:
        yield service


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.serial]


def peak(service: Program) -> float:
    """Of the process's memory, in MB."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1000


def forget_peak(service: Program) -> None:
    Path(f"/proc/{service.pid}/clear_refs").write_text("5")


async def statuses_of_large_bodies(service: Program, series: str) -> list[int]:
    """Of every route that takes one."""
    posts = ("/graphql", "/series", f"/series/{series}/points", "/api", "/sensors")
    async with httpx.AsyncClient(base_url=service.address, timeout=10) as client:
        headers, body = {"Content-Type": "application/json"}, b"[" + b" " * 100_000
        answers = [await client.post(path, content=body, headers=headers) for path in posts]
    return [answer.status_code for answer in answers]


async def well(service: Program) -> bool:
    async with httpx.AsyncClient(base_url=service.address, timeout=10) as client:
        asked = [await client.get("/health"), await client.get("/health/live")]
        pushed = await client.put("/location", json=READING)
    return [answer.status_code for answer in (*asked, pushed)] == [200, 200, 200]


async def keep_sending(line: Line, piece: str, total: int) -> int:
    """How much could be sent before the other end had enough."""
    sent = 0
    try:
        while sent < total:
            await line.send(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    return sent


async def answer_to(line: Line) -> int:
    """0 where the connection was broken off instead."""
    try:
        return await line.status()
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0


async def upload(line: Line, pausing: asyncio.Event) -> int:
    """Sends all of a body but its last MiB, and then little until it pauses, unless it is answered before."""

    async def send() -> None:
        await keep_sending(line, "x" * MIB, UPLOAD - MIB)
        while not pausing.is_set():
            await keep_sending(line, "x", 1)
            await asyncio.sleep(0.05)

    sending = asyncio.create_task(send())
    try:
        return await answer_to(line)
    finally:
        sending.cancel()


async def refused(service: Program, bound: str) -> int:
    metrics = (await service.get("/metrics")).text
    found = re.findall(rf'datacosmos_refused_total\{{bound="{bound}"\}} (\d+)', metrics)
    return int(found[0]) if found else 0


@pytest.mark.parametrize("piece", ["a" * MIB, "a: b\r\n" * (MIB // 6)], ids=["one header", "many headers"])
async def test_a_head_of_200_megabytes_is_cut_off_and_held_by_nobody(service: Program, piece: str) -> None:
    forget_peak(service)
    before = peak(service)
    async with line_to(service.address) as line:
        await line.send("GET /points HTTP/1.1\r\nHost: 127.0.0.1\r\nA: ")
        sending = asyncio.create_task(keep_sending(line, piece, 200 * MIB))
        assert await answer_to(line) in (431, 0)
        assert await sending < 20 * MIB
    assert await refused(service, "heads") > 0
    assert peak(service) < before + 40
    assert await well(service)


async def test_connections_that_never_finish_their_head_are_few_and_end(service: Program) -> None:
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line_to(service.address)) for _ in range(130)]
        for line in lines:
            with contextlib.suppress(ConnectionError):
                await line.send("GET /points HTTP/1.1\r\nHost:")
        assert await well(service)
        answers = Counter(await asyncio.gather(*(answer_to(line) for line in lines)))
    assert answers[408] == await refused(service, "slow_heads") > 0
    assert answers[503] <= await refused(service, "connections") >= 30
    assert '"bound": "connections"' in service.log
    assert await well(service)


async def test_uploads_that_pause_hold_no_more_than_their_bound_and_end(service: Program) -> None:
    async with httpx.AsyncClient() as client:
        series = (await client.post(f"{service.address}/series", json={"points": []})).json()["id"]
    forget_peak(service)
    pausing = asyncio.Event()
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line_to(service.address)) for _ in range(30)]
        for line in lines:
            await line.send(f"{HEAD}Content-Length: {UPLOAD}\r\n\r\n")
        uploads = [asyncio.create_task(upload(line, pausing)) for line in lines]
        answers = asyncio.as_completed(uploads)
        assert [await next(answers) for _ in range(27)] == [503] * 27
        assert await statuses_of_large_bodies(service, series) == [503] * 5
        assert await well(service)
        pausing.set()
        assert [await answer for answer in answers] == [408] * 3
    assert peak(service) < 400
    assert 503 not in await statuses_of_large_bodies(service, series)
