"""The writer of a `serve`: a process of its own, of which nothing can be noticed but that nothing waits for it."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from tests.processes import Watched, children_of
from tests.programs import Program, program

ACCEPTED = re.compile(r'^datacosmos_accepted_total\{source="sensors"\} (\S+)', re.MULTILINE)
WRITTEN = re.compile(r"^datacosmos_written_total (\S+)", re.MULTILINE)


async def writer_of(service: Program, but: int = 0) -> Watched:
    async with asyncio.timeout(60):
        while not (found := [child for child in children_of(service.pid, "write") if child != but]):
            await asyncio.sleep(0.02)
    return Watched(found[0])


async def push(service: Program, count: int, day: int) -> None:
    content = {"temperature_f": 70}
    times = [f"2026-01-{day:02}T00:{n // 60:02}:{n % 60:02}Z" for n in range(count)]
    records = [{"id": "a1", "type": "Sensor", "content": content | {"time_of_measurement": time}} for time in times]
    async with httpx.AsyncClient(base_url=service.address) as client:
        assert (await client.post("/sensors", json=records)).status_code == 202


async def until_counted(service: Program, count: int, messages: int) -> str:
    """The metrics, once the last that a writer counts have so many readings accepted, and so many messages written."""
    async with asyncio.timeout(60):
        while True:
            metrics = (await service.get("/metrics")).text
            if ACCEPTED.findall(metrics) == [f"{count:.1f}"] and WRITTEN.findall(metrics) == [f"{messages:.1f}"]:
                # Read once more: of the writer's files, each a kind, another may have been read before this one.
                return (await service.get("/metrics")).text
            await asyncio.sleep(0.05)


async def test_a_writer_that_dies_is_replaced_and_what_was_acknowledged_and_counted_stays(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", "--port", "0") as service:
        first = await writer_of(service)
        await push(service, 3, day=1)
        await until_counted(service, 3, messages=1)
        first.kill()
        await first.ended()
        await push(service, 4, day=2)
        metrics = await until_counted(service, 7, messages=2)
        families = re.findall(r"^# TYPE (\S+)", metrics, re.MULTILINE)
        assert len(families) == len(set(families))
        assert 'datacosmos_received_total{source="sensors"} 7.0' in metrics
        assert re.search(r'^datacosmos_write_seconds_bucket\{le="\+Inf"\} 2\.0', metrics, re.MULTILINE)
        assert (await service.get("/health")).json()["parts"]["writer"] == {"status": "ok", "detail": "all is written"}

        second = await writer_of(service, but=first.pid)
        assert await service.stop() == 0
        await second.ended()
        assert [event for event in ("stopping", "stopped") if service.log.count(event) != 1] == []


@pytest.mark.serial
async def test_what_writes_and_what_parses_end_with_the_program_that_started_them(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", "--port", "0") as service:
        await push(service, 1000, day=1)
        async with httpx.AsyncClient(base_url=service.address, timeout=60) as client:
            upload = b'{"start":0,"interval":1,"values":[' + b"1," * (4 << 19) + b"1]}"
            assert (await client.post("/series", content=upload)).status_code == 201
        [writer], parsers = children_of(service.pid, "write"), children_of(service.pid, "--multiprocessing-fork")
        assert len(parsers) == 2  # one of readings, one of large uploads
        ending = [Watched(process) for process in (writer, *parsers)]
        await service.kill()
        await asyncio.gather(*(process.ended() for process in ending))
