"""The engines and the programs beside them, each a process of its own that can freeze or die at any moment."""

import asyncio
import os
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from datacosmos.auth.issuers import Role, SharedSecret
from datacosmos.engines import Endpoints, running_engines
from datacosmos.engines.data_dir import free_port
from tests.processes import Watched, engine_pid
from tests.programs import COMMAND, environment

HOLDER = """
import asyncio, sys
from pathlib import Path

from datacosmos.engines import embedded_engines
from datacosmos.observability import configure_logging

async def main() -> None:
    async with embedded_engines(Path(sys.argv[1])):
        print("ready", flush=True)
        await asyncio.Event().wait()

configure_logging("info", "json")
asyncio.run(main())
"""
ENGINES = ("mongod", "nats-server")
PATIENCE = 90.0
"""Seconds within which anything must have come about, also on a slow machine."""
BRISK = {
    "DATACOSMOS_POLL_INTERVAL": "50ms",
    "DATACOSMOS_POLL_BACKOFF_MAX": "500ms",
    "DATACOSMOS_WRITE_BACKOFF_MAX": "500ms",
    "DATACOSMOS_MONGODB_TIMEOUT": "2s",
    "DATACOSMOS_NATS_TIMEOUT": "2s",
    "DATACOSMOS_CALCULATION_URL": "http://127.0.0.1:1",  # none is needed here, and none started
    "DATACOSMOS_MAX_POINTS": "100000",
}


class Group:
    """`engines` is the holder's name in kill(); a program goes by its command. Logs are kept in the folder."""

    def __init__(self, folder: Path, variables: dict[str, str], command: tuple[str, ...] = COMMAND) -> None:
        self.data_dir = folder / "data"
        self._folder, self._command = folder, command
        self._secret = secrets.token_hex(32)
        self._port = 0
        self._variables = BRISK | {"DATACOSMOS_JWT_SECRET": self._secret} | variables
        self._own: dict[str, dict[str, str]] = {}
        self._processes: dict[str, Process] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def endpoints(self) -> Endpoints:
        return running_engines(self.data_dir)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def token(self, role: Role = Role.ADMIN) -> str:
        lifetime, now = timedelta(hours=1), datetime.now(UTC)
        return SharedSecret(self._secret).issue(role=role, subject="faults", lifetime=lifetime, now=now)

    async def start_engines(self) -> None:
        command = (sys.executable, "-c", HOLDER, str(self.data_dir))
        process = self._processes["engines"] = await self._spawn(command, {})
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"ready\n", self.log
        self._port = self._port or free_port(0)  # now that the engines have theirs

    async def start(self, command: str, **variables: str) -> None:
        """Start a program with variables of its own, which it gets again when it is started again."""
        own = self._own.setdefault(command, variables)
        mongodb, nats = self.endpoints.mongodb_url, self.endpoints.nats_url
        assert mongodb is not None
        assert nats is not None
        given = {"DATACOSMOS_MONGODB_URL": mongodb, "DATACOSMOS_NATS_URL": nats, "DATACOSMOS_PORT": str(self._port)}
        self._processes[command] = await self._spawn((*self._command, command), self._variables | given | own)

    async def _spawn(self, command: tuple[str, ...], variables: dict[str, str]) -> Process:
        with (self._folder / "log").open("a") as log:
            return await asyncio.create_subprocess_exec(
                *command, cwd=self._folder, env=environment(variables), stdout=PIPE, stderr=log
            )

    def pid(self, name: str) -> int:
        return engine_pid(self.data_dir, name) if name in ENGINES else self._processes[name].pid

    def _running(self, name: str) -> int | None:
        try:
            return self.pid(name)
        except LookupError:
            return None

    async def kill(self, name: str) -> None:
        """As kill -9 does; an engine is then started again by its holder, a program not."""
        async with asyncio.timeout(PATIENCE):
            while (pid := self._running(name)) is None:  # it is just being started again
                await asyncio.sleep(0.01)
        watched = Watched(pid)
        watched.kill()
        await watched.ended()
        if name not in ENGINES:
            await self._processes.pop(name).wait()

    async def kill_all(self) -> None:
        """All at the same moment: the engines end with their holder."""
        engines = [Watched(pid) for name in ENGINES if (pid := self._running(name))]
        for process in self._processes.values():
            with suppress(ProcessLookupError):  # it has ended by itself, which the test will tell
                process.kill()
        await asyncio.gather(*(process.wait() for process in self._processes.values()))
        self._processes.clear()
        for engine in engines:
            await engine.ended()

    async def start_all_again(self) -> None:
        await self.start_engines()
        for command in self._own:
            await self.start(command)

    @asynccontextmanager
    async def frozen(self, *names: str) -> AsyncGenerator[None]:
        pids = [self.pid(name) for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):  # it was killed as it was
                    os.kill(pid, signal.SIGCONT)

    async def answers(self) -> None:
        """Returns once the API does; what it says of its parts is another matter."""
        async with asyncio.timeout(PATIENCE):
            while not await self._is_live():
                ended = [name for name, process in self._processes.items() if process.returncode is not None]
                assert not ended, f"ended by themselves: {ended}"
                await asyncio.sleep(0.05)

    async def _is_live(self) -> bool:
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE) as client:
            try:
                return (await client.get("/health/live")).is_success
            except httpx.TransportError:
                return False

    async def health(self) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE) as client:
            return (await client.get("/health")).json()

    async def ask(self, query: str, **variables: Any) -> dict[str, Any] | None:
        """The data of an answer without errors; None where there is no such answer now."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE) as client:
            try:
                answer = await client.post("/graphql", json={"query": query, "variables": variables})
            except httpx.TransportError:
                return None
        return None if "errors" in answer.json() else answer.json()["data"]


@asynccontextmanager
async def group(
    folder: Path, *commands: str, run_by: tuple[str, ...] = COMMAND, **variables: str
) -> AsyncGenerator[Group]:
    """Engines with these programs beside them, all killed at the end."""
    started = Group(folder, variables, run_by)
    try:
        await started.start_engines()
        for command in commands:
            await started.start(command)
        if {"api", "serve"} & set(commands):
            await started.answers()
        yield started
    except BaseException as error:
        error.add_note(started.log[-10_000:])
        raise
    finally:
        await started.kill_all()
