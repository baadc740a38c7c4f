"""Programs and engines as the system sees them: processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

HOLDER = """
import asyncio, sys
from pathlib import Path

import psutil
from datacosmos.engines import embedded_engines

async def main() -> None:
    async with embedded_engines(Path(sys.argv[1])):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def engine_pid(data_dir: Path, name: str) -> int:
    """The process that runs an engine on a data directory."""
    for process in psutil.process_iter(["cmdline"]):
        words: list[str] = process.info["cmdline"] or [""]
        if Path(words[0]).name == name and any(word.startswith(str(data_dir)) for word in words):
            return process.pid
    raise LookupError(f"no {name} runs on {data_dir}")


def children_of(pid: int, *words: str) -> list[int]:
    """The child processes whose command has all the words; one that ends meanwhile is left out."""
    return [child.pid for child in psutil.Process(pid).children() if set(words) <= set(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


class Watched:
    """A process whose end can be awaited, be it our child or not."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def kill(self) -> None:
        signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def ended(self) -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, over.set)
        try:
            async with asyncio.timeout(20):
                await over.wait()
        finally:
            loop.remove_reader(self._descriptor)
            os.close(self._descriptor)


@asynccontextmanager
async def holder(data_dir: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Another process that has both engines running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
