"""Programs of ours that run beside the one that started them, and end with it, however it ends."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import timedelta

import structlog
from pydantic import SecretStr

from datacosmos.auth.secret import load_secret
from datacosmos.engines import launch
from datacosmos.engines.processes import end
from datacosmos.observability import SHARED_METRICS, telling_of
from datacosmos.programs.metrics_folder import metrics_folder
from datacosmos.retries import Backoff
from datacosmos.settings import Settings, to_environment

log = structlog.stdlib.get_logger(__name__)

RESTARTS = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))
CLOSING = 5.0  # seconds for what a child closes after its open requests
STABLE = 10.0  # seconds after which a failure is not held against the next start


@asynccontextmanager
async def children(
    *command: str, count: int, listener: socket.socket | None, variables: Mapping[str, str], grace: timedelta
) -> AsyncGenerator[None]:
    """`count` processes of one of our commands, each started again whenever it ends.

    They share the listening socket, which stays open in between: whoever connects meanwhile waits. They share their
    metrics too, so that each answers for all; of those that listen nowhere this process tells what they count. At the
    end each may take `grace`, which is its own for open requests, and a little more. Enter this in the main thread, as
    they end with the thread that started them.
    """
    with ExitStack() as kept:
        environment = os.environ | variables
        if count > 1 or listener is None:
            folder = kept.enter_context(metrics_folder())
            environment[SHARED_METRICS] = folder
            if listener is None:
                kept.enter_context(telling_of(folder))
        patience = grace.total_seconds() + CLOSING
        watchers = [asyncio.create_task(_keep_running(command, listener, environment, patience)) for _ in range(count)]
        try:
            yield
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)


async def beside(
    command: str, count: int, settings: Settings, listener: socket.socket | None, parts: AsyncExitStack
) -> None:
    """A program of ours in processes of its own, which share the socket and have the same settings."""
    secret = SecretStr(load_secret(settings))  # what is wrong with it is said here, and once
    variables = to_environment(settings.model_copy(update={"jwt_secret": secret}))
    starting = children(command, count=count, listener=listener, variables=variables, grace=settings.stop_grace)
    await parts.enter_async_context(starting)


async def _keep_running(
    command: tuple[str, ...], listener: socket.socket | None, environment: Mapping[str, str], patience: float
) -> None:
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        began = loop.time()
        try:
            code = await _run(command, listener, environment, patience)
            log.warning("child ended, starting it again", command=command[0], exit=code)
        except OSError as error:  # no process, memory or descriptor is free for it
            log.error("child can't be started, trying again", command=command[0], error=str(error))  # noqa: TRY400
        failures = 0 if loop.time() - began > STABLE else failures + 1
        await RESTARTS.pause(failures)


async def _run(
    command: tuple[str, ...], listener: socket.socket | None, environment: Mapping[str, str], patience: float
) -> int:
    process = await _spawn(command, listener, environment)
    try:
        return await process.wait()
    finally:
        await end(process, command[0], patience)


async def _spawn(command: tuple[str, ...], listener: socket.socket | None, environment: Mapping[str, str]) -> Process:
    descriptors = () if listener is None else (listener.fileno(),)
    role = ["--listener", *map(str, descriptors)] if descriptors else ["--aside"]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid())),
        *(sys.executable, "-m", "datacosmos", *command, *role),
        stdin=DEVNULL,
        env=environment,
        pass_fds=descriptors,
        start_new_session=True,  # the Ctrl-C in a terminal is for us alone
    )
