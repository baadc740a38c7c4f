"""Long work leaves the event loop to what is short."""

import asyncio
from itertools import pairwise

import pytest

from datacosmos import slices
from datacosmos.slices import InHaste, next_slice


async def work(times: int, done: list[float]) -> None:
    for _ in range(times):
        await next_slice()
        done.append(asyncio.get_running_loop().time())


async def test_of_all_that_work_for_long_one_goes_on_in_each_round_of_the_loop() -> None:
    done: list[float] = []
    others = [asyncio.create_task(work(10, done)) for _ in range(8)]
    most = 0
    while not all(other.done() for other in others):
        before = len(done)
        await asyncio.sleep(0)
        most = max(most, len(done) - before)
    assert len(done) == 80
    assert most == 1


async def test_they_go_on_in_turns() -> None:
    order: list[str] = []

    async def named(name: str) -> None:
        for _ in range(3):
            await next_slice()
            order.append(name)

    await asyncio.gather(*map(named, "abc"))
    assert "".join(order) == "abcabcabc"


async def test_one_that_leaves_while_it_waits_holds_up_none() -> None:
    done: list[float] = []
    first, leaving, last = (asyncio.create_task(work(2, done)) for _ in range(3))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait_for(asyncio.gather(first, last), 5)
    assert len(done) == 4


async def test_they_pause_while_a_request_is_in_haste_but_never_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "HASTE", 10)
    done: list[float] = []
    working = asyncio.create_task(work(5, done))
    with InHaste():
        await asyncio.wait_for(working, 5)
    pauses = [after - before for before, after in pairwise(done)]
    assert min(pauses) >= 0.9 * slices.PAUSE


async def test_they_go_on_at_once_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PAUSE", 60)
    done: list[float] = []
    waiting = asyncio.create_task(work(2, done))
    with InHaste():
        await asyncio.sleep(0.01)
        assert len(done) == 1
    await asyncio.wait_for(waiting, 5)


async def test_a_request_is_in_haste_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "HASTE", 0.001)
    monkeypatch.setattr(slices, "PAUSE", 1)
    done: list[float] = []
    working = asyncio.create_task(work(3, done))
    with InHaste():
        await asyncio.wait_for(working, 5)


async def test_a_request_that_works_in_slices_itself_is_no_longer_in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PAUSE", 60)
    done: list[float] = []
    with InHaste():
        await asyncio.wait_for(work(5, done), 5)


async def test_they_hardly_pause_where_requests_turned_out_to_be_long_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PAUSE", 60)
    done: list[float] = []
    for _ in range(20 * slices.LATELY):
        with InHaste():
            await work(1, done)
    working = asyncio.create_task(work(5, done))
    with InHaste():
        await asyncio.wait_for(working, 5)
