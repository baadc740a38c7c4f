"""Equal questions at the same time: which are one, and who is answered by it."""

import asyncio
import gc
from collections.abc import Mapping
from typing import Any

import pytest

from datacosmos.rounds import Rounds


class Answers:
    """Counts as it is asked, and answers with the number once it may."""

    def __init__(self) -> None:
        self.asked = self.cancelled = 0
        self.may = asyncio.Event()

    async def ask(self) -> int:
        self.asked += 1
        number = self.asked
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return number


async def begun(tasks: list[asyncio.Task[int]]) -> None:
    """They have asked, and wait."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_all_that_ask_the_same_meanwhile_share_one_answer_begun_after_they_asked() -> None:
    rounds, answers = Rounds[int](), Answers()
    first = [asyncio.create_task(rounds.get("same", answers.ask))]
    await begun(first)
    meanwhile = [asyncio.create_task(rounds.get("same", answers.ask)) for _ in range(60)]
    await begun(first + meanwhile)
    assert answers.asked == 1
    answers.may.set()
    assert await asyncio.gather(*first, *meanwhile) == [1] + 60 * [2]
    assert await rounds.get("same", answers.ask) == 3


async def test_another_question_waits_for_none() -> None:
    rounds, answers = Rounds[int](), Answers()
    waiting = [asyncio.create_task(rounds.get("one", answers.ask))]
    await begun(waiting)
    another = Answers()
    another.may.set()
    assert await rounds.get("another", another.ask) == 1
    answers.may.set()
    await waiting[0]


@pytest.mark.parametrize("leaving", [0, 1])
async def test_whoever_leaves_ends_no_answer_of_the_others(leaving: int) -> None:
    rounds, answers = Rounds[int](), Answers()
    tasks = [asyncio.create_task(rounds.get("same", answers.ask))]
    await begun(tasks)
    tasks += [asyncio.create_task(rounds.get("same", answers.ask)) for _ in range(3)]
    await begun(tasks)
    tasks.pop(leaving).cancel()
    answers.may.set()
    assert await asyncio.gather(*tasks) == ([2, 2, 2] if leaving == 0 else [1, 2, 2])


async def test_an_answer_that_nobody_waits_for_any_more_is_cancelled() -> None:
    rounds, answers = Rounds[int](), Answers()
    first = asyncio.create_task(rounds.get("same", answers.ask))
    await begun([first])
    meanwhile = [asyncio.create_task(rounds.get("same", answers.ask)) for _ in range(2)]
    await begun([first, *meanwhile])
    for task in meanwhile:
        task.cancel()
    await asyncio.wait(meanwhile)
    assert answers.cancelled == 0
    first.cancel()
    after = asyncio.create_task(rounds.get("same", answers.ask))  # while the one before is being cancelled
    await begun([after])
    assert (answers.asked, answers.cancelled) == (2, 1)
    answers.may.set()
    assert await after == 2
    assert first.cancelled()


async def test_what_fails_as_it_is_cancelled_is_no_error_that_nobody_looked_at() -> None:
    rounds, left, reported = Rounds[int](), asyncio.Event(), list[Mapping[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def ask() -> int:
        try:
            return await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_soon(left.set)
            raise ConnectionError

    asking = asyncio.create_task(rounds.get("same", ask))
    await begun([asking])
    asking.cancel()
    await left.wait()
    del asking  # whose traceback holds what failed
    gc.collect()
    assert not reported


async def after_a_failure(rounds: Rounds[int], error: Exception) -> asyncio.Task[int]:
    """What asks while another question is under way, which fails."""
    gate = asyncio.Event()

    async def fail() -> int:
        await gate.wait()
        raise error

    async def answer() -> int:
        return 7

    tasks = [asyncio.create_task(rounds.get("same", fail))]
    await begun(tasks)
    tasks.append(asyncio.create_task(rounds.get("same", answer)))
    await begun(tasks)
    gate.set()
    with pytest.raises(type(error), match="of the first"):
        await tasks[0]
    return tasks[1]


async def test_a_failure_is_for_its_own_round_alone() -> None:
    assert await (await after_a_failure(Rounds[int](), LookupError("of the first"))) == 7
    assert await (await after_a_failure(Rounds[int](OSError), LookupError("of the first"))) == 7


async def test_a_failure_that_lasts_is_for_all_who_wait() -> None:
    rounds = Rounds[int](OSError)
    with pytest.raises(ConnectionError, match="of the first"):
        await (await after_a_failure(rounds, ConnectionError("of the first")))
    answers = Answers()
    answers.may.set()
    assert await rounds.get("same", answers.ask) == 1


async def test_a_failure_that_lasts_is_not_for_those_who_ask_after_it_however_many_they_are() -> None:
    rounds, gate = Rounds[int](OSError), asyncio.Event()

    async def answer() -> int:
        if gate.is_set():
            return 7
        await gate.wait()
        raise ConnectionError("of the first")

    tasks = list[asyncio.Task[int]]()
    for turn in range(60):
        tasks.append(asyncio.create_task(rounds.get("same", answer)))
        if turn == 10:
            gate.set()
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[20:] == 40 * [7]
    assert isinstance(outcomes[0], ConnectionError)
