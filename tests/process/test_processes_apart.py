"""Work in a process of its own: what it gives and raises, and what becomes of it when the process dies."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from datacosmos.errors import InvalidUpload, Unavailable
from datacosmos.settings import Settings
from datacosmos.sources import sensors
from datacosmos.sources.pushed_readings import Push
from datacosmos.threads import NICE, Process

AUTOGROUP = [*Path("/proc/self").glob("autogroup")]
SOURCE = sensors.source(
    Settings.model_validate({"_env_file": None, "sensors_max_readings": 2, "sensors_max_age": "1h"})
)


async def test_work_is_done_in_one_other_process_and_the_next_one_replaces_one_that_died() -> None:
    process = Process("apart", "works", waiting=1)
    first = await process.run(os.getpid)
    assert first not in {os.getpid(), os.getppid()}
    assert await process.run(os.getpid) == first
    with pytest.raises(Unavailable, match="try it again"):
        await process.run(signal.raise_signal, signal.SIGKILL)
    assert await process.run(os.getpid) not in {os.getpid(), first}


async def test_it_gives_way_to_processes_of_all_sessions_as_linux_may_share_processors_out_by_those() -> None:
    process = Process("apart", "works", waiting=1)
    assert await process.run(os.nice, 0) == min(19, os.nice(0) + NICE)
    if AUTOGROUP:
        assert await process.run(os.getsid, 0) != os.getsid(0)
        assert (await process.run(AUTOGROUP[0].read_text)).endswith(f"nice {NICE}\n")


async def test_work_that_waits_is_done_by_the_next_process_though_nobody_waits_for_what_one_died_of() -> None:
    process = Process("waited", "works", waiting=2)
    deadly = asyncio.create_task(process.run(signal.raise_signal, signal.SIGKILL))
    waiting = [asyncio.create_task(process.run(int, number)) for number in "12"]
    await asyncio.sleep(0)  # it has begun
    deadly.cancel()
    assert await asyncio.gather(*waiting) == [1, 2]


async def test_a_push_read_there_is_the_same_and_so_are_its_faults() -> None:
    assert SOURCE.pushed is not None
    process, push = Process("apart", "works", waiting=1), Push(SOURCE, SOURCE.pushed, None, "key")
    apart, here = await process.run(push.read, b"[{}]"), push.read(b"[{}]")
    assert (apart.receipt.delivery_id, apart.receipt.discarded) == (here.receipt.delivery_id, here.receipt.discarded)
    assert len(apart.payload) == len(here.payload)
    for body, fault in ((b"[{}, {}, {}]", "more than 2 records"), (b"[{},", "breaks off")):
        with pytest.raises(InvalidUpload, match=fault) as refused:
            await process.run(push.read, body)
        assert [index for index, _ in refused.value.faults] == [None]
