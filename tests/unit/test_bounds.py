"""What is bounded: who gets some, who waits, who is refused, and what is said of it."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from datacosmos import bounds
from datacosmos.bounds import Bound
from datacosmos.errors import Overloaded
from datacosmos.observability import exposition


async def test_what_exceeds_a_bound_is_refused_until_some_is_given_back() -> None:
    bound = Bound("bytes", 10, "bytes")
    with bound.holding(8):
        with pytest.raises(Overloaded, match="as many bytes in hand as it may, 10"):
            bound.take(3)
        bound.give_back(bound.take(2))
    with bound.holding(10):
        pass


async def test_more_than_the_whole_is_taken_as_the_whole() -> None:
    bound = Bound("bytes", 10, "bytes")
    with bound.holding(11):
        assert bound.held == 10
    assert bound.held == 0


async def test_turns_come_in_the_order_of_asking_whatever_their_size() -> None:
    bound = Bound("points", 10, "points", waiting=9)
    came: list[int] = []

    async def ask(amount: int) -> None:
        async with bound.turn(amount):
            came.append(amount)

    async with asyncio.TaskGroup() as group:
        with bound.holding(5):
            for amount in (6, 1, 10, 2):
                group.create_task(ask(amount))
            await asyncio.sleep(0)
            assert came == []
    assert came == [6, 1, 10, 2]


async def test_whoever_finds_the_queue_full_is_refused_at_once() -> None:
    bound = Bound("lists", 1, "long lists", waiting=1)

    async def ask() -> None:
        async with bound.turn():
            pass

    async with asyncio.TaskGroup() as group:
        with bound.holding():
            waiting = group.create_task(ask())
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await ask()
            assert not waiting.done()


async def test_whoever_waits_too_long_is_refused_and_holds_up_nobody() -> None:
    bound = Bound("lists", 2, "long lists", waiting=9, patience=timedelta(milliseconds=20))
    with bound.holding():
        with pytest.raises(Overloaded):
            async with bound.turn(2):
                pass
        async with bound.turn():  # it would fit, were nobody before it
            pass


async def test_those_behind_one_who_leaves_get_their_turn() -> None:
    bound = Bound("lists", 2, "long lists", waiting=9)
    came = asyncio.Event()

    async def ask(amount: int) -> None:
        async with bound.turn(amount):
            came.set()

    with bound.holding():
        leaving = asyncio.create_task(ask(2))
        await asyncio.sleep(0)
        behind = asyncio.create_task(ask(1))
        await asyncio.sleep(0)
        leaving.cancel()
        await came.wait()
        await behind
    assert bound.held == 0


async def test_a_turn_that_comes_as_its_owner_leaves_goes_to_the_next() -> None:
    bound = Bound("lists", 1, "long lists", waiting=9)

    async def ask() -> None:
        async with bound.turn():
            pass

    bound.take()
    leaving, behind = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0)
    bound.give_back()
    leaving.cancel()
    await behind
    assert bound.held == 0


async def test_the_log_tells_when_a_bound_begins_to_bite_and_when_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "QUIET", 0.01)
    bound = Bound("bytes", 1, "bytes")
    with capture_logs() as logs:
        with bound.holding():
            for _ in range(3):
                with pytest.raises(Overloaded):
                    bound.take()
        async with asyncio.timeout(10):
            while len(logs) < 2:
                await asyncio.sleep(0.01)
    assert [(line["event"], line["bound"]) for line in logs] == [
        ("bound reached", "bytes"),
        ("bound no longer reached", "bytes"),
    ]
    assert logs[1]["refused"] == 3


async def test_metrics_tell_what_is_held_and_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TELL", 0.01)
    bound, other = (Bound("of this test", 3, "bytes") for _ in range(2))
    with bound.holding(2), pytest.raises(Overloaded):
        bound.take(2)
    await until_told('datacosmos_refused_total{bound="of this test"} 1.0')
    bound.take(3)
    other.take(2)
    await until_told('datacosmos_held{bound="of this test"} 5.0')
    other.give_back(2)
    await until_told('datacosmos_held{bound="of this test"} 3.0')


async def until_told(line: str) -> None:
    async with asyncio.timeout(10):
        while line not in exposition().decode():
            await asyncio.sleep(0.01)
