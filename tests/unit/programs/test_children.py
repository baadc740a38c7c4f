"""Programs beside this one, where the machine has no room for them."""

import asyncio
import errno
from datetime import timedelta

import pytest

from datacosmos.programs.children import children


async def test_a_child_that_cannot_be_started_is_tried_again_and_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried_again = asyncio.Event()

    async def start(*command: str, **_: object) -> None:
        if any("child can't be started" in record.getMessage() for record in caplog.records):
            tried_again.set()
            await asyncio.Event().wait()
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("asyncio.create_subprocess_exec", start)
    async with children("write", count=1, listener=None, variables={}, grace=timedelta(0)), asyncio.timeout(20):
        await tried_again.wait()
