"""The API in several processes behind one port: `serve --workers` and `api --workers`."""

import asyncio
import re
from asyncio.subprocess import Process
from datetime import timedelta
from pathlib import Path

import pytest

from datacosmos.engines import processes
from datacosmos.programs import children as beside
from datacosmos.programs.children import children
from datacosmos.programs.server import listen
from tests.processes import Watched, children_of
from tests.programs import NO_CALCULATION, Program, program

COUNTED = re.compile(r'datacosmos_request_seconds_count\{method="GET",route="/points",status="200"\} (\d+)')


async def workers(service: Program, but: int = 0) -> list[Watched]:
    """The two of a program, once there are two."""
    async with asyncio.timeout(60):
        while len(found := [child for child in children_of(service.pid, "api", "--listener") if child != but]) < 2:
            await asyncio.sleep(0.02)
    return [Watched(child) for child in found]


async def counted(service: Program) -> int:
    """Exports answered, as the metrics have it."""
    [count] = COUNTED.findall((await service.get("/metrics")).text)
    return int(count)


async def until_counted(service: Program, count: int) -> None:
    """An answer is counted after its last byte is sent, so that whoever has it may ask too early."""
    async with asyncio.timeout(60):
        while await counted(service) != count:
            await asyncio.sleep(0.02)


async def test_several_api_processes_share_a_port_and_their_metrics_and_one_that_dies_is_replaced(
    tmp_path: Path,
) -> None:
    async with program(tmp_path, "serve", "--port", "0", "--workers", "2") as service:
        first, second = await workers(service)
        for _ in range(10):
            assert (await service.get("/points")).json() == []
        await until_counted(service, 10)
        assert [await counted(service) for _ in range(5)] == [10] * 5  # whichever of them is asked

        first.kill()
        await first.ended()
        assert (await service.get("/points")).status_code == 200
        replaced = await workers(service, but=first.pid)
        assert second.pid in {worker.pid for worker in replaced}
        await until_counted(service, 11)  # what the dead one counted is not forgotten

        assert await service.stop() == 0
        await asyncio.gather(*(worker.ended() for worker in [second, *replaced]))


async def test_they_run_beside_a_serve_too_and_end_with_the_program_that_started_them(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", "--port", "0", **NO_CALCULATION):
        beside = tmp_path / "beside"
        beside.mkdir()
        arguments = ("api", "--port", "0", "--workers", "2", "--data-dir", str(tmp_path / "data"))
        async with program(beside, *arguments) as service:
            running = await workers(service)
            assert (await service.ask("{ points { value } }"))["data"] == {"points": []}
            await service.kill()
            await asyncio.gather(*(worker.ended() for worker in running))


async def test_a_child_that_is_stopped_may_take_as_long_as_its_open_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    patience: asyncio.Queue[float] = asyncio.Queue()

    async def end(process: Process, name: str, seconds: float = processes.STOP_PATIENCE) -> None:
        patience.put_nowait(seconds)
        await processes.end(process, name, seconds)

    monkeypatch.setattr(beside, "end", end)
    with listen("127.0.0.1", 0) as listener:  # without engines they end by themselves, too
        async with children("api", count=1, listener=listener, variables={}, grace=timedelta(minutes=1)):
            assert await patience.get() > 60
