"""One engine as a process: started, watched, started again when it dies, stopped."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

import structlog

from datacosmos.engines import launch
from datacosmos.engines.binaries import missing_library
from datacosmos.engines.data_dir import private
from datacosmos.engines.scheduling import take_short_turns
from datacosmos.errors import EngineError, StoreUnavailable
from datacosmos.retries import Backoff, retry

log = structlog.stdlib.get_logger(__name__)

START_PATIENCE = 120.0  # after a crash, MongoDB first plays back its journal
STOP_PATIENCE = 15.0
LITTLE_SPACE = 1 << 20
DISK_FULL = re.compile(r'no space left on device|"error":28\b', re.IGNORECASE)
# From the beginning of the line, as what a stranger says may stand further on.
WRITE_FAILED = re.compile(r"(\[\d+\] )?\S+ \S+ \[ERR\] JetStream .*: write /")
CHECKED_EACH = 1.0
RESTARTS = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))


@dataclass
class Engine:
    """`prepare` makes it ready once it listens on `port`; `lock` is a descriptor to inherit.

    One that `sticks` lives on after a failed write but stores nothing more, even once there is room again.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    lock: int
    port: int
    prepare: Callable[[], Awaitable[None]] | None = None
    sticks: bool = False
    _process: Process | None = field(default=None, init=False)
    _heard: int = field(default=0, init=False)

    async def start(self) -> None:
        """Start it and wait until it serves. Raises EngineError, with what its log says."""
        if self._no_space():
            raise EngineError(self._disk_full())
        try:
            with _appended(self.log) as output:
                beginning = self._heard = output.tell()
                self._process = await self._spawn(output)
        except OSError as error:
            raise EngineError(f"{self.name} can't be started: {error.strerror}") from None
        await self._ready(self._process, beginning)

    async def _spawn(self, output: BinaryIO) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *self.command),
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            pass_fds=(self.lock,),
            start_new_session=True,  # the Ctrl-C in a terminal is for us alone
        )
        take_short_turns(process.pid)
        return process

    async def _ready(self, process: Process, beginning: int) -> None:
        try:
            async with asyncio.timeout(START_PATIENCE):
                while not await _listens(self.port):
                    if process.returncode is not None:
                        raise EngineError(self._obituary(process.returncode, beginning))
                    await asyncio.sleep(0.02)
                if self.prepare:
                    await self.prepare()
        except (TimeoutError, StoreUnavailable) as error:
            if await _ends(process):
                raise EngineError(self._obituary(process.returncode or 0, beginning)) from error
            reason = str(error) or f"it took more than {START_PATIENCE:g} s"
            raise EngineError(f"{self.name} did not get ready: {reason}; see {self.log}") from error

    def _obituary(self, code: int, beginning: int) -> str:
        with self.log.open("rb") as output:
            output.seek(beginning)
            whole = output.read().decode("utf-8", "replace")
        said = telling_line(whole.splitlines())
        if missing := missing_library(said):
            return f"{self.name} can't start: {missing}"
        if code == -signal.SIGILL:
            return (
                f"{self.name} can't run on this processor (MongoDB needs one with AVX): "
                "give the address of one that runs elsewhere by DATACOSMOS_MONGODB_URL"
            )
        if DISK_FULL.search(whole) or self._no_space():
            return self._disk_full()
        return f"{self.name} ended as it started ({_exit(code)}): {said}; see {self.log}"

    def _no_space(self) -> bool:
        return shutil.disk_usage(self.log.parent).free < LITTLE_SPACE

    def _disk_full(self) -> str:
        return f"{self.name} can't run: the disk is full; free some space for {self.log.parent}"

    async def keep_running(self) -> None:
        """Start it again whenever it ends, until cancelled."""
        while self._process:
            code = await self._end_of(self._process)
            log.warning("engine ended, starting it again", engine=self.name, exit=_exit(code))
            await RESTARTS.pause(0)  # also where it starts each time, and ends at once
            await retry(self._start_or_stop, RESTARTS, on=EngineError, failed=self._note_failure)
            log.info("engine runs again", engine=self.name)

    async def _start_or_stop(self) -> None:
        try:
            await self.start()
        except EngineError:
            await self.stop()
            raise

    def _note_failure(self, error: EngineError, _: int) -> None:
        log.error("engine does not start, trying again", engine=self.name, error=str(error))

    async def _end_of(self, process: Process) -> int:
        """Its exit code, once it has ended, or was stopped because it stores nothing any more."""
        while process.returncode is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECKED_EACH if self.sticks else None):
                    await process.wait()
            if process.returncode is None and self.sticks and (fault := self._stuck()):
                log.error("engine stopped", engine=self.name, error=fault)
                await self.stop()
        return process.returncode

    def _stuck(self) -> str | None:
        """Why it stores nothing any more: by what it has said since it was last asked, or by the disk, which may not
        have held even that."""
        with self.log.open("rb") as output:
            output.seek(self._heard)
            said = output.read().decode("utf-8", "replace")
            self._heard = output.tell()
        failed = next(filter(WRITE_FAILED.match, said.splitlines()), "")
        if self._no_space() or DISK_FULL.search(failed):
            return self._disk_full()
        return f"{self.name} can't store: {failed}" if failed else None

    async def stop(self, patience: float = STOP_PATIENCE) -> None:
        """End it in order, and by force when that takes more than `patience` seconds."""
        if self._process is not None:
            await end(self._process, self.name, patience)


async def end(process: Process, name: str, patience: float = STOP_PATIENCE) -> None:
    """End a child in order, and by force when that takes more than `patience` seconds."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGCONT)  # a frozen one would not hear us
    process.terminate()
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        log.warning("process does not stop, killing it", program=name, process=process.pid)
        process.kill()
        await process.wait()


def _appended(path: Path) -> BinaryIO:
    return open(path, "ab", opener=private)


def telling_line(lines: list[str]) -> str:
    """The first line that speaks of an error, as those after it follow from it, else the last line."""
    said = [line for line in map(_readable, lines) if line]
    errors = [line for line in said if re.search(r"error|\bERR\b|\bFTL\b|fatal", line, re.IGNORECASE)]
    return (errors[:1] or said[-1:] or ["it said nothing"])[0][:500]


def _readable(line: str) -> str:
    """As it is; of MongoDB's JSON, the message and its detail, if it is an error's."""
    if not line.startswith('{"t":'):
        return line.strip()
    try:
        entry = cast("dict[str, Any]", json.loads(line))
    except ValueError:  # cut off as it died
        return line
    if entry["s"] not in "EF":
        return ""
    match entry.get("attr"):
        case {"message": {"msg": str(detail)}} | {"error": str(detail)}:
            return f"error: {entry['msg']}: {detail}"
        case _:
            return f"error: {entry['msg']}"


def _exit(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


async def _ends(process: Process) -> bool:
    """Whether it is about to, as a connection breaks a moment before the process is gone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await process.wait()
    return process.returncode is not None


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
