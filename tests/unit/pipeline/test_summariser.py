"""What builds the summaries on the side: it goes on after errors, and rests for longer than it works."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import cast

import pytest
from structlog.testing import capture_logs

from datacosmos.errors import StoreUnavailable
from datacosmos.pipeline.summariser import summarising
from datacosmos.store.summaries.building import Builder


class Scripted:
    """A builder that does one thing after the other, and then says so."""

    def __init__(self, *steps: Callable[[], int | None]) -> None:
        self._steps, self.done = list(steps), asyncio.Event()

    async def catch_up(self) -> int | None:
        if not self._steps:
            self.done.set()
            return 0
        return self._steps.pop(0)()


def fail(error: Exception) -> int | None:
    raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [(StoreUnavailable("no primary"), "no primary"), (RuntimeError("a fault of ours"), "a fault of ours")],
)
async def test_an_error_is_logged_and_the_next_try_comes(error: Exception, said: str) -> None:
    builder = Scripted(lambda: 1, lambda: fail(error), lambda: None)
    with capture_logs() as logged:
        async with summarising(cast("Builder", builder), every=timedelta(milliseconds=1)):
            await builder.done.wait()
    [entry] = logged
    assert entry["event"] == "summaries not built"
    assert said in str(entry.get("error", error))


async def test_it_ends_with_the_program() -> None:
    builder = Scripted()
    async with summarising(cast("Builder", builder), every=timedelta(hours=1)):
        await builder.done.wait()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
