"""The service that is soaked: `datacosmos serve`, or, to be killed in pieces, its programs beside the engines."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil

from datacosmos.engines import embedded_engines, launch

ENGINES = ("mongod", "nats-server")
STOP_PATIENCE = 60  # seconds


class Program:
    """One of our commands, started again whenever it ends, as a supervisor would; its log is a file in the folder."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> None:
        self.name = arguments[0]
        self.ended_by_itself = 0
        self._folder, self._arguments = folder, arguments
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATACOSMOS_")}
        self._environment = inherited | dict(variables)
        self._process: Process | None = None

    async def start(self) -> None:
        command = (sys.executable, "-m", "datacosmos", *self._arguments)
        with (self._folder / f"{self.name}.log").open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command),
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the Ctrl-C in a terminal is for us alone
            )

    async def keep_running(self) -> None:
        while self._process:
            if await self._process.wait() != -signal.SIGKILL:
                self.ended_by_itself += 1
                await asyncio.sleep(1)
            await self.start()

    async def stop(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(STOP_PATIENCE):
                await process.wait()


@asynccontextmanager
async def deployed(
    folder: Path, variables: Mapping[str, str], *, port: int, apart: bool
) -> AsyncGenerator[list[Program]]:
    """Everything in one `serve`; or `apart`: the engines held by this process, and a program for each task."""
    listen, data = ("--port", str(port)), ("--data-dir", str(folder / "data"))
    commands = [("api", *listen, *data), ("write", *data), ("ingest", *data)] if apart else [("serve", *listen, *data)]
    programs = [Program(folder, command, variables) for command in commands]
    async with AsyncExitStack() as stack:
        if apart:
            await stack.enter_async_context(embedded_engines(folder / "data"))
        for program in programs:
            await program.start()
            stack.push_async_callback(program.stop)
        keepers = [asyncio.create_task(program.keep_running()) for program in programs]
        try:
            yield programs
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)


def processes() -> dict[str, psutil.Process]:
    """All that run below this one, by what they do; of several that do the same, the later have a number."""
    found: dict[str, psutil.Process] = {}
    for process in sorted(psutil.Process().children(recursive=True), key=lambda child: child.pid):
        if task := _task(process):
            same = sum(name.partition(" ")[0] == task for name in found)
            found[f"{task} {same + 1}" if same else task] = process
    return found


def _task(process: psutil.Process) -> str | None:
    try:
        words = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None
    if not words or launch.__file__ in words:
        return None  # gone, or about to become another program
    name = Path(words[0]).name
    if name in ENGINES:
        return name
    if words[1:3] == ["-m", "datacosmos"]:
        return words[3]
    return "tracker" if "resource_tracker" in words[-1] else "forecast"
