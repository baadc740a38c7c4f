import asyncio
import os
import sys
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from datacosmos.engines.data_dir import free_port, held, is_held
from datacosmos.engines.processes import Engine, telling_line
from datacosmos.engines.scheduling import attributes_of
from datacosmos.errors import EngineError

STUBBORN = """
import signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(60)
"""
LIBRARY = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file: No such file"


@pytest.fixture
def lock(tmp_path: Path) -> Generator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    yield descriptor
    os.close(descriptor)


def engine(tmp_path: Path, lock: int, *command: str) -> Engine:
    port = free_port(0)
    filled = tuple(str(port) if word == "PORT" else word for word in command)
    return Engine(name="mongod", command=filled, log=tmp_path / "log", lock=lock, port=port)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo '{LIBRARY}'; exit 127", "mongod can't start: the library libcurl.so.4 is missing: .* libcurl4"),
        (
            "echo error: no luck; echo bye; exit 3",
            r"mongod ended as it started \(exit code 3\): error: no luck; see .*log",
        ),
        (
            """echo '{"t":1,"s":"E","msg":"WT","attr":{"error":28,"mess'; exit 1""",
            "mongod can't run: the disk is full; free",
        ),
        ("kill -ABRT $$", r"mongod ended as it started \(SIGABRT\): it said nothing"),
        ("kill -ILL $$", "mongod can't run on this processor .*AVX"),
    ],
)
async def test_an_engine_that_ends_as_it_starts_is_told_with_its_reason(
    tmp_path: Path, lock: int, script: str, message: str
) -> None:
    (tmp_path / "log").write_text("error: of the start before\n")
    with pytest.raises(EngineError, match=message):
        await engine(tmp_path, lock, "/bin/sh", "-c", script).start()


async def test_a_program_that_can_not_be_run_is_told(tmp_path: Path, lock: int) -> None:
    with pytest.raises(EngineError, match="nowhere/mongod: No such file or directory"):
        await engine(tmp_path, lock, "/nowhere/mongod").start()


async def test_an_engine_that_does_not_stop_is_killed(tmp_path: Path, lock: int) -> None:
    stubborn = engine(tmp_path, lock, sys.executable, "-c", STUBBORN, "PORT")
    await stubborn.start()
    async with asyncio.timeout(20):
        await stubborn.stop(patience=0.1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", stubborn.port)


async def test_threads_of_an_engine_leave_the_processor_to_others_soon(tmp_path: Path, lock: int) -> None:
    ours = attributes_of(os.getpid())
    if not (ours and ours.runtime):
        pytest.skip("Linux before 6.12 doesn't know of it")
    speaking = engine(
        tmp_path, lock, sys.executable, "-c", f"import os; print(os.getpid(), flush=True){STUBBORN}", "PORT"
    )
    await speaking.start()
    its = attributes_of(int((tmp_path / "log").read_text()))
    await speaking.stop(patience=0.1)
    assert its
    assert its.runtime < ours.runtime


async def test_an_engine_holds_the_directory_until_it_has_ended(tmp_path: Path) -> None:
    async with held(tmp_path, patience=timedelta(0)) as lock:
        orphan = engine(tmp_path, lock, sys.executable, "-c", STUBBORN, "PORT")
        await orphan.start()
    assert is_held(tmp_path)
    await orphan.stop(patience=0.1)
    assert not is_held(tmp_path)


@pytest.mark.parametrize(
    ("lines", "telling"),
    [
        (["[1] [INF] Starting", "[1] [FTL] no storage", "[1] [INF] bye"], "[1] [FTL] no storage"),
        (["one", "two", ""], "two"),
        ([], "it said nothing"),
        (['{"t":1,"s":"I","msg":"bye"}'], "it said nothing"),
        (
            ['{"t":1,"s":"E","msg":"Stop","attr":{"error":"No folder"}}', '{"t":1,"s":"F","msg":"x"}'],
            "error: Stop: No folder",
        ),
        (['{"t":1,"s":"E","msg":"WT","attr":{"error":-3,"message":{"msg":"torn"}}}'], "error: WT: torn"),
        (['{"t":1,"s":"F","msg":"Assertion","attr":{"msgid":50853}}'], "error: Assertion"),
        (['{"t":1,"s":"E","msg":"cut'], '{"t":1,"s":"E","msg":"cut'),
    ],
)
def test_the_telling_line_of_a_log_is_its_first_error(lines: list[str], telling: str) -> None:
    assert telling_line(lines) == telling
