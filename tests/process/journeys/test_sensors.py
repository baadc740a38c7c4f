"""From what sensors measure to a person's questions, through programs that may die, as seen from outside."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path

import httpx
import pytest

from datacosmos.settings import Settings
from datacosmos.simulators.sensors import EPOCH, records
from datacosmos.sources import sensors
from tests.programs import COMMAND, Program, environment, program, run

DISCARDS = "query ($source: String) { discards(source: $source) { source reason raw duplicateOf } }"
RECEIPT = "query ($id: ID!) { receipt(deliveryId: $id) { readings accepted discarded } }"
READINGS = "query ($id: String!) { sensorReadings(sensorId: $id) { time temperatureC temperatureF } }"
LEDGER = "{ ingestion { messages received accepted discarded inFlight deadLettered } }"
A1 = {"id": "a1", "type": "Sensor", "content": {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"}}
KILLS = 2


async def token(folder: Path, role: str, subject: str) -> str:
    _, out, _ = await run("token", "--role", role, "--subject", subject, folder=folder)
    return out.strip()


async def settled(service: Program, admin: str) -> dict[str, int]:
    """The sensors' ledger once nothing is in flight."""
    async with asyncio.timeout(60):
        while True:
            ledger = (await service.ask(LEDGER, token=admin))["data"]["ingestion"][1]
            if ledger["inFlight"] == 0 and ledger["messages"] == await on_the_queue(service):
                return ledger
            await asyncio.sleep(0.05)


async def on_the_queue(service: Program) -> int:
    """Messages ever put there."""
    metrics = (await service.get("/metrics")).text
    [received] = re.findall(r"^datacosmos_queue_received (\S+)", metrics, re.MULTILINE)
    return int(float(received))


async def simulate_and_ingest(folder: Path, count: int) -> str:
    """Both commands with a pipe in between; what the second one says."""
    reading, writing = os.pipe()
    arguments = ("--count", str(count), "--seed", "1")
    simulator = await asyncio.create_subprocess_exec(
        *COMMAND, "simulate", "sensors", *arguments, env=environment({}), stdout=writing
    )
    os.close(writing)
    ingest = await asyncio.create_subprocess_exec(
        *COMMAND, "ingest", "sensors", cwd=folder, env=environment({}), stdin=reading, stderr=asyncio.subprocess.PIPE
    )
    os.close(reading)
    async with asyncio.timeout(60):
        _, err = await ingest.communicate()
        assert (await simulator.wait(), ingest.returncode) == (0, 3), err
    return err.decode()


async def test_what_sensors_measured_is_answered_and_each_discard_explained(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", "--port", "0") as service:
        admin, ada = await token(tmp_path, "admin", "root"), await token(tmp_path, "user", "ada")
        said = await simulate_and_ingest(tmp_path, 3000)
        first = await settled(service, admin)
        assert f"3000 lines: {first['accepted']} accepted, {first['discarded']} discarded" in said
        assert (first["received"], first["deadLettered"]) == (3000, 0)
        malformed = first["discarded"]
        assert 90 < malformed < 210

        await simulate_and_ingest(tmp_path, 3000)  # all over again
        again = await settled(service, admin)
        assert (again["received"], again["accepted"]) == (6000, first["accepted"])
        found = (await service.ask(DISCARDS, token=admin, source="sensors"))["data"]["discards"]
        reasons = [discard["reason"] for discard in found]
        assert (reasons.count("MALFORMED"), reasons.count("DUPLICATE")) == (2 * malformed, first["accepted"])
        assert all(discard["duplicateOf"] for discard in found if discard["reason"] == "DUPLICATE")
        assert (await service.ask(DISCARDS, token=admin, source="data_server"))["data"]["discards"] == []

        headers = {"Authorization": f"Bearer {ada}", "Idempotency-Key": "monday"}
        async with httpx.AsyncClient(base_url=service.address, headers=headers, timeout=30) as api:
            answers = [await api.post("/sensors", json=[A1, "rubbish"]) for _ in range(2)]
        taken, resent = (answer.json() for answer in answers)
        assert [answer.status_code for answer in answers] == [202, 202]
        assert taken == resent
        await settled(service, admin)
        for who, sees in ((ada, {"readings": 2, "accepted": 1, "discarded": 1}), (None, None)):
            receipt = await service.ask(RECEIPT, token=who, id=taken["deliveryId"])
            assert receipt["data"]["receipt"] == sees
        [reading] = (await service.ask(READINGS, token=ada, id="a1"))["data"]["sensorReadings"]
        assert (reading["time"], reading["temperatureF"]) == ("2019-06-24T15:00:00Z", 90)
        assert round(reading["temperatureC"], 4) == 32.2222
        assert await service.stop() == 0


@asynccontextmanager
async def ingesting(folder: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """What it says is found in the folder, as `said`."""
    with (folder / "said").open("w") as said:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "ingest", "sensors", cwd=folder, env=environment({}), stdin=asyncio.subprocess.PIPE, stderr=said
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(ingest: asyncio.subprocess.Process, folder: Path) -> str:
    """What it said, once it has ended, with some lines malformed."""
    assert ingest.stdin is not None
    ingest.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(120):
            await ingest.wait()
    said = (folder / "said").read_text()
    assert ingest.returncode == 3, said
    return said


async def more_than(messages: int, service: Program) -> None:
    async with asyncio.timeout(60):
        while await on_the_queue(service) <= messages:
            await asyncio.sleep(0.01)


@pytest.mark.timeout(300)
async def test_while_all_else_is_killed_again_and_again_each_line_is_brought_to_the_store_once(tmp_path: Path) -> None:
    lines = [line.encode() + b"\n" for line in islice(records(start=EPOCH, seed=2), 6000)]
    good = sum(1 for line in lines if not sensors.source(Settings.model_construct()).read(line).faults)
    part = len(lines) // (KILLS + 1)
    async with program(tmp_path, "serve", "--port", "0") as service, ingesting(tmp_path) as ingest:
        assert ingest.stdin is not None
        for kill in range(KILLS):
            before = await on_the_queue(service)
            ingest.stdin.writelines(lines[kill * part : (kill + 1) * part])
            await more_than(before, service)
            await service.kill()
            await service.start()
        ingest.stdin.writelines(lines[KILLS * part :])
        assert f"{len(lines)} lines: {good} accepted" in await ended(ingest, tmp_path)
        ledger = await settled(service, await token(tmp_path, "admin", "root"))
        assert (ledger["received"], ledger["accepted"], ledger["deadLettered"]) == (len(lines), good, 0)
