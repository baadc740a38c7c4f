import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from threading import Event

import pytest

from datacosmos.api.graphql.fast.encoded import Encoded
from datacosmos.api.graphql.spool import KEPT, Span, Spool
from datacosmos.errors import TemporaryFilesFull
from tests.api.graphql.files import longest_file, nameless_files, until_nameless_files_are

LONG = 300_000


async def read(spool: Spool, span: Span) -> bytes:
    return b"".join([block async for block in spool.read(span)])


async def test_what_is_written_after_a_full_disk_is_read_as_it_was() -> None:
    with closing(Spool()) as spool:
        first = await spool.write(b"a" * LONG)
        with longest_file(LONG + 1000), pytest.raises(TemporaryFilesFull):
            await spool.write(b"b" * LONG)
        last = await spool.write(b"c" * LONG)
        assert await read(spool, first) == b"a" * LONG
        assert await read(spool, last) == b"c" * LONG


async def test_lists_that_are_written_at_once_do_not_mix() -> None:
    with closing(Spool()) as spool:
        texts = [bytes([letter]) * LONG for letter in b"abcdefgh"]
        spans = await asyncio.gather(*map(spool.write, texts))
        assert [await read(spool, span) for span in spans] == texts


async def test_the_file_is_closed_only_once_no_thread_is_at_it() -> None:
    before = nameless_files()
    spool = Spool()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    with ExitStack() as only_thread:
        free = Event()
        only_thread.callback(free.set)
        loop.run_in_executor(None, free.wait)
        writing = asyncio.create_task(spool.write(b"a" * LONG))
        await until_nameless_files_are(before + 1)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        spool.close()
        assert nameless_files() == before + 1
    await until_nameless_files_are(before)


async def test_a_list_that_is_dropped_leaves_its_memory_to_others() -> None:
    before = nameless_files()
    with closing(Spool()) as spool:
        dropped = Encoded(spool)
        await dropped.add(b"a" * (KEPT - 10))
        dropped.drop()
        await Encoded(spool).add(b"b" * 100)
        assert nameless_files() == before
