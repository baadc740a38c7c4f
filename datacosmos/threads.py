"""Threads and processes apart by kind of work, so that no kind waits for another's."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import ParamSpec, TypeVar

from datacosmos.bounds import Bound
from datacosmos.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = timedelta(seconds=10)
NICE = 10  # how far what others send gives way to what answers requests


class Threads:
    """`count` threads for one kind of work; `what` names it in the plural, and `waiting` is the length of its queue.

    They belong to one event loop.
    """

    def __init__(self, name: str, count: int, what: str, *, waiting: int, patience: timedelta = PATIENCE) -> None:
        self._bound = Bound(name, count, what, waiting=waiting, patience=patience)
        self._name, self._count = name, count

    @cached_property
    def _executor(self) -> Executor:
        return ThreadPoolExecutor(self._count, thread_name_prefix=self._name)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work gives or raises. Raises Overloaded where the queue is full or a turn takes too long.

        A cancellation ends the wait for a turn at once; but work that has begun keeps its thread, and so is waited for.
        """
        return await self.run_by(None, work, *args, **kwargs)

    async def run_by(self, deadline: float | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, with a turn by the deadline, in the event loop's time, however long one may take."""
        taken = await self._bound.acquire(deadline=deadline)
        executor = self._executor
        try:
            running = asyncio.get_running_loop().run_in_executor(executor, partial(work, *args, **kwargs))
        except BaseException as error:
            self._end(taken, executor, error)
            raise
        running.add_done_callback(  # however often its caller is cancelled
            lambda ended: self._end(taken, executor, None if ended.cancelled() else ended.exception())
        )
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def _end(self, taken: int, executor: Executor, error: BaseException | None) -> None:
        """A broken executor makes way for another, once, before the next work gets its turn."""
        if isinstance(error, BrokenExecutor) and self.__dict__.get("_executor") is executor:
            del self._executor
        self._bound.give_back(taken)


class Process(Threads):
    """One process for work that would keep the others of this one from the interpreter, as a thread does.

    It is there from the first work on, as is another one once it died. What is given to it and comes back is pickled.
    """

    def __init__(self, name: str, what: str, *, waiting: int, patience: timedelta = PATIENCE) -> None:
        super().__init__(name, 1, what, waiting=waiting, patience=patience)

    @cached_property
    def _executor(self) -> Executor:
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin_beside, (NICE,))

    async def run_by(self, deadline: float | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same; raises Unavailable where the process dies of it, or of something else."""
        try:
            return await super().run_by(deadline, work, *args, **kwargs)
        except BrokenProcessPool:
            raise Unavailable("the process that was to do this has died: try it again") from None


def begin_beside(nice: int) -> None:
    """What a process does first that works for the one which started it, and gives way to all others so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the Ctrl-C in a terminal is for the one that will stop us
    give_way(nice)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def give_way(nice: int) -> None:
    """For this process: it has less of the processors than others, by so much.

    Linux may share them out by sessions first (autogroup), and MongoDB has one of its own; within one, nice says
    nothing to other sessions, so the process gets its own as well, which is as nice.
    """
    os.nice(nice)
    with suppress(OSError):
        if os.getsid(0) != os.getpid():
            os.setsid()
        Path("/proc/self/autogroup").write_text(str(nice))


def _end_with_parent() -> None:
    """Also when it is killed, as then nobody would tell us to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
