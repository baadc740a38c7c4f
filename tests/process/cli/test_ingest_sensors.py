"""`ingest sensors` as a user runs it: in a pipe, on a file, interrupted, and while the queue is unavailable."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import pytest

from datacosmos.engines import embedded_engines
from datacosmos.pipeline.queue import Queue
from datacosmos.settings import Settings
from datacosmos.simulators.sensors import EPOCH, records
from datacosmos.sources import sensors
from tests.processes import engine_pid
from tests.programs import COMMAND, environment, run
from tests.queues import nats_url, open_queue, take_all

LINES = [record.encode() for record in islice(records(start=EPOCH, seed=1), 60_000)]
TALLY = re.compile(r"^(\d+) lines: (\d+) accepted, (\d+) discarded.*; all is durable$", re.MULTILINE)
DURABLE = re.compile(r"durable up to line (\d+)")


@pytest.fixture
async def queue(settings: Settings) -> AsyncGenerator[Queue]:
    async with open_queue(settings.model_copy(update={"queue_max_bytes": 256 << 20})) as queue:
        yield queue


@pytest.fixture
def variables(settings: Settings) -> dict[str, str]:
    return {"DATACOSMOS_NATS_URL": nats_url(settings), "DATACOSMOS_NATS_STREAM": settings.nats_stream}


class Ingest:
    """The command, its standard input and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    def write(self, *lines: bytes, half: bytes = b"") -> None:
        """Whole lines, and half of another."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(line + b"\n" for line in lines) + half)

    async def hear(self, pattern: re.Pattern[str]) -> str:
        """What the first group of the pattern matches, once it is said."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while not (found := pattern.search(self.said)):
                heard = await self.process.stderr.readline()
                assert heard, f"it ended without saying {pattern.pattern}:\n{self.said}"
                self.said += heard.decode()
        return found[1]

    async def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        async with asyncio.timeout(60):
            _, err = await self.process.communicate()
        self.said += err.decode()
        assert "Traceback" not in self.said
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def ingesting(folder: Path, *arguments: str, **variables: str) -> AsyncGenerator[Ingest]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "ingest", "sensors", *arguments,
        cwd=folder, env=environment(variables), stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Ingest(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def raws(queue: Queue) -> list[bytes]:
    return [point.reading.raw for delivery in await take_all(queue) for point in delivery.points]


async def received(queue: Queue) -> None:
    """Returns once a message has been put on the queue."""
    async with asyncio.timeout(60):
        while not (await queue.state()).received:
            await asyncio.sleep(0.01)


async def test_what_the_simulator_prints_goes_through_a_pipe_onto_the_queue(
    tmp_path: Path, queue: Queue, variables: dict[str, str]
) -> None:
    reading, writing = os.pipe()
    simulator = await asyncio.create_subprocess_exec(
        *COMMAND, "simulate", "sensors", "--count", "5000", "--seed", "1", env=environment({}), stdout=writing
    )
    os.close(writing)
    ingest = await asyncio.create_subprocess_exec(
        *COMMAND, "ingest", "sensors",
        cwd=tmp_path, env=environment(variables), stdin=reading, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(reading)
    async with asyncio.timeout(60):
        _, err = await ingest.communicate()
        assert await simulator.wait() == 0
    found = TALLY.search(err.decode())
    assert found, err
    assert int(found[1]) == int(found[2]) + int(found[3]) == 5000
    assert ingest.returncode == 3
    assert await raws(queue) == LINES[:5000]


async def test_a_file_is_read_whole(tmp_path: Path, queue: Queue, variables: dict[str, str]) -> None:
    (tmp_path / "readings").write_bytes(b"\n".join(LINES[:3000]))
    code, out, err = await run("ingest", "sensors", "readings", folder=tmp_path, **variables)
    assert (code, out) == (3, "")
    assert TALLY.search(err)
    assert await raws(queue) == LINES[:3000]


async def test_the_exit_code_tells_of_malformed_lines_unless_they_are_allowed(
    tmp_path: Path, queue: Queue, variables: dict[str, str]
) -> None:
    good = next(line for line in LINES if not sensors.source(Settings.model_construct()).read(line).faults)
    for content, flags, expected in (
        (good, [], 0),
        (good + b"\nrubbish", [], 3),
        (good + b"\nrubbish", ["--allow-malformed"], 0),
        (b"a,b\n1,2\n3,4\n", ["--allow-malformed"], 1),
        (b"a,b\n1,2\n3,4\n", ["--force"], 3),
    ):
        (tmp_path / "readings").write_bytes(content)
        code, _, err = await run("ingest", "sensors", "readings", *flags, folder=tmp_path, **variables)
        assert code == expected, err
        assert ("CSV, 2 columns separated by commas" in err) == (expected == 1)


async def test_without_input_it_ends_at_once(tmp_path: Path, queue: Queue, variables: dict[str, str]) -> None:
    code, _, err = await run("ingest", "sensors", os.devnull, folder=tmp_path, **variables)
    assert (code, err) == (0, "0 lines: 0 accepted, 0 discarded; all is durable\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_in_a_file_it_says_up_to_which_line_all_is_durable_and_that_is_true(
    tmp_path: Path, queue: Queue, variables: dict[str, str], number: signal.Signals
) -> None:
    (tmp_path / "readings").write_bytes(b"\n\n" + b"\n".join(LINES))
    async with ingesting(tmp_path, "readings", **variables) as ingest:
        await received(queue)
        ingest.process.send_signal(number)
        assert await ingest.end() == 1
    [said] = re.findall(r"interrupted: all is durable up to line (\d+)$", ingest.said, re.MULTILINE)
    queued = await raws(queue)
    assert int(said) - 2 == len(queued)
    assert queued == LINES[: len(queued)]


async def test_interrupted_at_a_quiet_pipe_it_ends_at_once_and_leaves_out_half_a_line(
    tmp_path: Path, queue: Queue, variables: dict[str, str]
) -> None:
    async with ingesting(tmp_path, **variables) as ingest:
        ingest.write(*LINES[:100], half=LINES[100][:20])
        await received(queue)
        ingest.process.send_signal(signal.SIGINT)
        assert await ingest.hear(DURABLE) == "100"
        assert await ingest.end() == 1
    assert await raws(queue) == LINES[:100]


async def test_progress_tells_even_one_who_kills_it_what_is_durable(
    tmp_path: Path, queue: Queue, variables: dict[str, str]
) -> None:
    async with ingesting(tmp_path, **variables) as ingest:

        async def feed() -> None:
            for line in LINES:
                ingest.write(line)
                await asyncio.sleep(0.01)

        feeding = asyncio.create_task(feed())
        said = int(await ingest.hear(DURABLE))
        ingest.process.kill()
        feeding.cancel()
        await ingest.process.wait()
    queued = await raws(queue)
    assert 0 < said <= len(queued)
    assert queued == LINES[: len(queued)]


async def test_while_the_queue_is_unavailable_it_waits_and_then_goes_on_where_it_was(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path / "data", mongodb=False) as endpoints:
        pid = engine_pid(tmp_path / "data", "nats-server")
        async with ingesting(tmp_path, "--allow-malformed", DATACOSMOS_NATS_TIMEOUT="1s") as ingest:
            ingest.write(*LINES[:50])
            settings = Settings.model_validate({"nats_url": endpoints.nats_url})
            async with open_queue(settings) as queue:
                await received(queue)
                os.kill(pid, signal.SIGSTOP)
                ingest.write(*LINES[50:100])
                await ingest.hear(re.compile("^(waiting): NATS is unavailable", re.MULTILINE))
                os.kill(pid, signal.SIGCONT)
                ingest.write(*LINES[100:150])
                assert ingest.process.stdin is not None
                ingest.process.stdin.close()
                assert await ingest.end() == 0
                assert "going on" in ingest.said
                assert TALLY.search(ingest.said)
                assert await raws(queue) == LINES[:150]


async def test_without_a_serve_it_says_what_to_do(tmp_path: Path) -> None:
    code, _, err = await run("ingest", "sensors", os.devnull, folder=tmp_path)
    assert code == 1
    assert "datacosmos serve" in err
    assert "Traceback" not in err
