import asyncio
from collections.abc import Sequence

import pytest

from datacosmos.bounds import Bound
from datacosmos.errors import Overloaded, StoreUnavailable
from datacosmos.store.mongo.group_commit import GroupCommit, Limits


class Commits:
    """What is committed, group by group; each takes until `go` is set."""

    def __init__(self) -> None:
        self.groups = list[str]()
        self.under_way = self.most_under_way = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, group: Sequence[str]) -> list[str | Exception]:
        self.groups.append("".join(group))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.go.wait()
        self.under_way -= 1
        if "!" in group:
            raise ValueError("it can't be stored")
        if "?" in group:
            raise StoreUnavailable("MongoDB is unavailable")
        return [KeyError(each) if each == "-" else each.upper() for each in group]


def grouped(commits: Commits, limits: Limits, in_hand: int = 100) -> GroupCommit[str, str]:
    return GroupCommit(commits, Bound("test", in_hand, "letters"), limits)


async def outcomes(group: GroupCommit[str, str], letters: str) -> list[str]:
    found = await asyncio.gather(*(group.write(letter) for letter in letters), return_exceptions=True)
    return [each if isinstance(each, str) else type(each).__name__ for each in found]


async def test_what_is_asked_at_once_goes_together_and_what_comes_meanwhile_goes_next() -> None:
    commits = Commits()
    group = grouped(commits, Limits(3))
    assert await outcomes(group, "abcdefgh") == list("ABCDEFGH")
    assert commits.groups == ["abc", "def", "gh"]
    assert commits.most_under_way == 1


async def test_each_is_told_its_own_outcome_and_a_faulty_one_harms_no_other() -> None:
    commits = Commits()
    assert await outcomes(grouped(commits, Limits(9)), "a-b!") == ["A", "KeyError", "B", "ValueError"]
    assert commits.groups == ["a-b!", "a", "-", "b", "!"]


async def test_a_group_is_not_tried_one_by_one_while_the_store_is_unavailable() -> None:
    commits = Commits()
    assert await outcomes(grouped(commits, Limits(9)), "a?b") == ["StoreUnavailable"] * 3
    assert commits.groups == ["a?b"]


async def test_writes_of_one_key_are_written_in_order_and_those_of_others_at_once() -> None:
    commits = Commits()
    commits.go.clear()
    group = grouped(commits, Limits(9, keys=9, at_once=4))
    keys = {"a": "x", "b": "y", "c": "xy", "d": "y", "e": "z"}
    tasks = list[asyncio.Task[str]]()
    for letter, touched in keys.items():
        tasks.append(asyncio.create_task(group.write(letter, keys=frozenset(touched))))
        for _ in range(4):
            await asyncio.sleep(0)
    # c waits for a and b, and d, though y may be free before x is, for c.
    assert commits.groups == ["a", "b", "e"]
    commits.go.set()
    await asyncio.gather(*tasks)
    assert commits.groups == ["a", "b", "e", "cd"]


async def test_a_group_is_bounded_by_size_and_by_keys_and_a_larger_write_goes_alone() -> None:
    commits = Commits()
    group = grouped(commits, Limits(10, keys=2), in_hand=1000)
    sizes = {"a": 6, "b": 6, "c": 4, "d": 50, "e": 1}
    keys = {"c": "xyz", "e": "w"}
    await asyncio.gather(*(group.write(each, sizes[each], frozenset(keys.get(each, ""))) for each in sizes))
    assert commits.groups == ["ae", "b", "c", "d"]


async def test_whoever_gives_up_waiting_is_not_written_and_keeps_nobody_from_it() -> None:
    commits = Commits()
    commits.go.clear()
    group = grouped(commits, Limits(1), in_hand=3)
    tasks = [asyncio.create_task(group.write(letter)) for letter in "abc"]
    while not commits.groups:
        await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    commits.go.set()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)][:2] == [
        asyncio.CancelledError
    ] * 2
    assert (commits.groups, tasks[2].result()) == (["a", "c"], "C")


async def test_more_than_may_be_in_hand_are_refused_until_there_is_room() -> None:
    commits = Commits()
    group = grouped(commits, Limits(9), in_hand=2)
    assert await outcomes(group, "abc") == ["A", "B", "Overloaded"]
    with pytest.raises(Overloaded):
        await asyncio.gather(*(group.write(letter, 2) for letter in "de"))
    assert await outcomes(group, "f") == ["F"]
