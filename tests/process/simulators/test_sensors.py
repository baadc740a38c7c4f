import asyncio
import json
import os
import re
import time
from datetime import datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import pytest

from datacosmos.settings import Settings
from datacosmos.simulators.sensors import EPOCH, records
from datacosmos.sources.sensors import source
from tests.programs import COMMAND, environment, run

parse = source(Settings.model_construct()).read


def some(count: int, *, seed: int | None = 1, faulty: float = 0.05) -> list[str]:
    return list(islice(records(start=EPOCH, seed=seed, faulty=faulty), count))


def test_a_record_is_shaped_as_sensors_send_it() -> None:
    for n, line in enumerate(some(100, faulty=0)):
        record = json.loads(line)
        assert list(record) == ["id", "type", "content"]
        assert list(record["content"]) == ["temperature_f", "time_of_measurement"]
        assert record["type"] == "Sensor"
        assert isinstance(record["content"]["temperature_f"], float)
        assert record["content"]["time_of_measurement"] == (EPOCH + timedelta(seconds=n)).isoformat()
        assert "\n" not in line


def test_the_same_seed_gives_the_same_records_and_another_or_none_gives_others() -> None:
    assert some(100) == some(100) != some(100, seed=2)
    assert some(10, seed=None) != some(10, seed=None)


def test_a_few_sensors_measure_a_curve_each() -> None:
    curves: dict[str, list[float]] = {}
    for line in some(8000, faulty=0):
        record = json.loads(line)
        curves.setdefault(record["id"], []).append(record["content"]["temperature_f"])
    assert 2 < len(curves) < 10
    for values in curves.values():
        assert len(values) == 8000 // len(curves)
        steps = [abs(after - before) for before, after in pairwise(values)]
        assert max(steps) < (max(values) - min(values)) / 3


def test_no_two_records_of_a_sensor_are_of_one_time() -> None:
    contents = [
        (record["id"], record["content"]["time_of_measurement"]) for record in map(json.loads, some(2000, faulty=0))
    ]
    assert len(set(contents)) == 2000


async def test_without_a_seed_no_two_runs_repeat_each_other(tmp_path: Path) -> None:
    runs = [await run("simulate", "sensors", "--count", "40", "--faulty", "0", folder=tmp_path) for _ in range(2)]
    lines = [line for _, out, _ in runs for line in out.splitlines()]
    identities = {(record["id"], record["content"]["time_of_measurement"]) for record in map(json.loads, lines)}
    assert len(identities) == 80


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0, 0, 0), (0.05, 400, 600), (0.5, 4700, 5300), (1, 10_000, 10_000)]
)
def test_just_the_asked_share_is_faulty(share: float, low: int, high: int) -> None:
    faulty = [line for line in some(10_000, faulty=share) if parse(line.encode()).faults]
    assert low <= len(faulty) <= high


def test_faulty_ones_are_faulty_in_many_ways() -> None:
    fault = re.compile(r"^(the body is not JSON|\S+)")
    faults = {fault.findall(text)[0] for line in some(1000, faulty=1) for text in parse(line.encode()).faults}
    assert faults == {"the body is not JSON", "id", "type", "temperature_f", "time_of_measurement"}


async def test_as_many_lines_are_printed_as_are_asked_for_and_no_faster_than_asked(tmp_path: Path) -> None:
    began = time.monotonic()
    code, out, err = await run("simulate", "sensors", "--count", "30", "--rate", "60", "--seed", "1", folder=tmp_path)
    assert (code, out.splitlines(), err) == (0, some(30), "")
    assert time.monotonic() - began >= 29 / 60


async def test_without_a_seed_times_begin_now(tmp_path: Path) -> None:
    _, out, _ = await run("simulate", "sensors", "--count", "1", "--faulty", "0", folder=tmp_path)
    first = datetime.fromisoformat(json.loads(out)["content"]["time_of_measurement"] + "+00:00")
    assert abs(first.timestamp() - time.time()) < 60


async def test_it_ends_quietly_once_nobody_reads_any_more(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "simulate", "sensors",
        cwd=tmp_path, env=environment({}), stdout=writing, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)
    assert await asyncio.to_thread(os.read, reading, 100)
    os.close(reading)
    async with asyncio.timeout(60):
        assert await process.communicate() == (None, b"")
    assert process.returncode == 0
