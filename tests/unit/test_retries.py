import asyncio
from datetime import timedelta

import pytest

from datacosmos.retries import Backoff, retry

BRISK = Backoff(first=timedelta(milliseconds=1), most=timedelta(milliseconds=2))
SLOW = Backoff(first=timedelta(hours=1), most=timedelta(hours=1))


class Flaky:
    """Fails so many times with `error`, then gives 7; keeps what it was told of each failure."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error = times, error
        self.told: list[tuple[str, int]] = []
        self.failed = asyncio.Event()

    async def __call__(self) -> int:
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return 7

    def note(self, error: Exception, before: int) -> None:
        self.told.append((str(error), before))
        self.failed.set()


async def test_what_fails_is_tried_until_it_succeeds_and_each_failure_is_told() -> None:
    flaky = Flaky(3, ConnectionError("gone"))
    assert await retry(flaky, BRISK, on=ConnectionError, failed=flaky.note) == 7
    assert flaky.told == [("gone", 0), ("gone", 1), ("gone", 2)]


async def test_another_error_is_raised_at_once() -> None:
    flaky = Flaky(1, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        await retry(flaky, BRISK, on=ConnectionError, failed=flaky.note)
    assert flaky.told == []


async def test_the_last_error_is_raised_once_patience_is_over() -> None:
    flaky = Flaky(10**9, ConnectionError("gone"))
    short = Backoff(BRISK.first, BRISK.most, patience=timedelta(milliseconds=20))
    with pytest.raises(ConnectionError, match="gone"):
        await retry(flaky, short, on=ConnectionError, failed=flaky.note)
    assert flaky.told


async def test_a_stop_ends_the_pause_and_no_try_follows() -> None:
    flaky, stopping = Flaky(1, ConnectionError("gone")), asyncio.Event()
    trying = asyncio.create_task(retry(flaky, SLOW, on=ConnectionError, failed=flaky.note, stopping=stopping))
    await flaky.failed.wait()
    stopping.set()
    with pytest.raises(ConnectionError, match="gone"):
        await trying
    assert flaky.told == [("gone", 0)]


async def test_a_cancellation_ends_the_pause() -> None:
    flaky = Flaky(1, ConnectionError("gone"))
    trying = asyncio.create_task(retry(flaky, SLOW, on=ConnectionError, failed=flaky.note))
    await flaky.failed.wait()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying


def test_pauses_double_up_to_the_most_each_by_chance_between_half_and_the_whole() -> None:
    backoff = Backoff(first=timedelta(seconds=1), most=timedelta(seconds=5))
    for failures, whole in enumerate([1, 2, 4, 5, 5]):
        pauses = [backoff.seconds(failures) for _ in range(100)]
        assert whole / 2 <= min(pauses) < max(pauses) <= whole
    assert backoff.seconds(10_000) <= 5
