"""Programs of ours that run beside the one that started them, and end with it, however it ends."""

import asyncio
import os
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta

import structlog

from datacosmos.engines import launch
from datacosmos.engines.processes import end
from datacosmos.observability import SHARED_METRICS
from datacosmos.pipeline.backoff import backoff

log = structlog.stdlib.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=5)
STABLE = 10.0  # seconds after which a failure is not held against the next start


@asynccontextmanager
async def children(
    *command: str, count: int, listener: socket.socket, variables: Mapping[str, str]
) -> AsyncGenerator[None]:
    """`count` processes of one of our commands, each started again whenever it ends.

    They share the listening socket, which stays open in between: who connects meanwhile waits. They share their
    metrics too, so that each answers for all. Enter this in the main thread, as they end with the thread that started
    them.
    """
    with ExitStack() as kept:
        environment = os.environ | variables
        if count > 1:
            folder = tempfile.TemporaryDirectory(prefix="datacosmos-metrics-")
            environment[SHARED_METRICS] = kept.enter_context(folder)
        watchers = [asyncio.create_task(_keep_running(command, listener, environment)) for _ in range(count)]
        try:
            yield
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)


async def _keep_running(command: tuple[str, ...], listener: socket.socket, environment: Mapping[str, str]) -> None:
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        process = await _spawn(command, listener, environment)
        began = loop.time()
        try:
            code = await process.wait()
        finally:
            await end(process, command[0])
        failures = 0 if loop.time() - began > STABLE else failures + 1
        log.warning("child ended, starting it again", command=command[0], exit=code)
        await asyncio.sleep(backoff(failures, first=FIRST_PAUSE, most=LONGEST_PAUSE))


async def _spawn(command: tuple[str, ...], listener: socket.socket, environment: Mapping[str, str]) -> Process:
    program = (sys.executable, "-m", "datacosmos", *command, "--listener", str(listener.fileno()))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *program),
        stdin=DEVNULL,
        env=environment,
        pass_fds=(listener.fileno(),),
        start_new_session=True,  # the Ctrl-C in a terminal is for us alone
    )
