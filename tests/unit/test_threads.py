"""Threads by kind of work: who waits for whom, and who is refused."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from datacosmos.errors import Overloaded
from datacosmos.threads import Threads


async def test_a_kind_whose_threads_are_all_busy_holds_up_no_other_and_no_loop() -> None:
    slow, quick = (Threads(name, 1, "works", waiting=1) for name in ("slow", "quick"))
    gate = threading.Event()
    waiting = [asyncio.create_task(slow.run(gate.wait)) for _ in range(2)]
    assert await quick.run(int, "7") == 7
    assert not any(task.done() for task in waiting)
    gate.set()
    assert await asyncio.gather(*waiting) == [True, True]


async def test_whoever_finds_the_queue_full_is_refused_and_those_before_are_not() -> None:
    threads = Threads("full", 1, "works", waiting=1)
    gate = threading.Event()
    waiting = [asyncio.create_task(threads.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="works"):
        await threads.run(int)
    gate.set()
    await asyncio.gather(*waiting)
    assert await threads.run(int) == 0


async def begun(threads: Threads, gate: threading.Event) -> asyncio.Task[None]:
    """Work that has its thread, until the gate is opened."""
    has_begun = threading.Event()

    def work() -> None:
        has_begun.set()
        gate.wait()

    working = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(has_begun.wait)
    return working


async def test_work_whose_caller_left_keeps_its_thread_until_it_is_done() -> None:
    threads = Threads("left", 1, "works", waiting=1)
    gate = threading.Event()
    leaving = await begun(threads, gate)
    behind = asyncio.create_task(threads.run(int))
    leaving.cancel()
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await threads.run(int)
    gate.set()
    assert await behind == 0
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_what_the_work_raises_reaches_its_caller() -> None:
    threads = Threads("raising", 1, "works", waiting=1)
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run(int, "x")


async def test_work_whose_caller_is_cancelled_twice_keeps_its_thread_until_it_is_done() -> None:
    threads = Threads("twice", 1, "works", waiting=0)
    gate = threading.Event()
    leaving = await begun(threads, gate)
    for _ in range(2):
        leaving.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([leaving])
    giving_up = asyncio.get_running_loop().call_later(5, gate.set)
    with pytest.raises(Overloaded):
        await threads.run(int)
    giving_up.cancel()
    gate.set()


async def test_a_turn_that_does_not_come_by_its_deadline_comes_too_late() -> None:
    threads = Threads("late", 1, "works", waiting=1)
    gate = threading.Event()
    first = asyncio.create_task(threads.run(gate.wait))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await threads.run_by(asyncio.get_running_loop().time(), int)
    gate.set()
    assert await first
    assert await threads.run_by(asyncio.get_running_loop().time() + 60, int) == 0


async def test_work_that_gets_no_thread_keeps_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    threads = Threads("none", 1, "works", waiting=0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(int)
