"""The commands as a user starts them: real processes, told and killed by signals, watched from outside."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

COMMAND = (sys.executable, "-m", "datacosmos")
PATIENCE = 90  # seconds for a start or a stop; several tests share the machine
NO_CALCULATION = {"DATACOSMOS_CALCULATION_URL": "http://127.0.0.1:1"}
"""For a `serve` that is asked for no calculation: starting that service takes more than all the rest."""


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without settings of its own, plus those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATACOSMOS_")}
    return inherited | dict(variables)


async def run(*arguments: str, folder: Path, **variables: str) -> tuple[int, str, str]:
    """A command that ends by itself: its exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        cwd=folder,
        env=environment(variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


class Program:
    """A command that runs until it is stopped; its log is kept in the folder it was started in."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> None:
        self.folder = folder
        self._arguments = arguments
        self._variables = variables
        self._process: asyncio.subprocess.Process | None = None
        self.address = ""

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns once it says where it can be found."""
        with (self.folder / "log").open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND,
                *self._arguments,
                cwd=self.folder,
                env=environment(self._variables),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        said = ""
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(r"(http://\S+?)/health\s", said)):
                line = await self._process.stdout.readline()
                assert line, f"it ended before it was ready:\n{said}\n{self.log}"
                said += line.decode()
        self.address = found[1]

    async def kill(self) -> None:
        """As kill -9 does."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """As Ctrl-C does; its exit code."""
        return await self._end(signal.SIGINT)

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            return await process.wait()

    async def ask(self, query: str, *, token: str | None = None, **variables: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(timeout=30) as client:
            body = {"query": query, "variables": variables}
            answer = await client.post(f"{self.address}/graphql", json=body, headers=headers)
        return answer.json()

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.get(self.address + path)


@asynccontextmanager
async def program(folder: Path, *arguments: str, **variables: str) -> AsyncGenerator[Program]:
    started = Program(folder, arguments, variables)
    await started.start()
    try:
        yield started
    finally:
        await started.kill()
