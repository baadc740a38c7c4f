import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from threading import Event

import pytest

from datacosmos.api.lists.encoding import Encoded
from datacosmos.api.lists.spool import KEPT, KEPT_BY_ALL, Span, Spool, Spools
from datacosmos.errors import AnswerTooLarge, Overloaded, TemporaryFilesFull
from tests.engine.api.graphql.files import longest_file, nameless_files, until_nameless_files_are

LONG = 300_000
SPOOLS = Spools(1 << 30, 1 << 30)


async def read(spool: Spool, span: Span) -> bytes:
    return b"".join([block async for block in spool.read(span)])


async def test_what_is_written_after_a_full_disk_is_read_as_it_was() -> None:
    with closing(SPOOLS.open()) as spool:
        first = await spool.write(b"a" * LONG)
        with longest_file(LONG + 1000), pytest.raises(TemporaryFilesFull):
            await spool.write(b"b" * LONG)
        last = await spool.write(b"c" * LONG)
        assert await read(spool, first) == b"a" * LONG
        assert await read(spool, last) == b"c" * LONG


async def test_lists_that_are_written_at_once_do_not_mix() -> None:
    with closing(SPOOLS.open()) as spool:
        texts = [bytes([letter]) * LONG for letter in b"abcdefgh"]
        spans = await asyncio.gather(*map(spool.write, texts))
        assert [await read(spool, span) for span in spans] == texts


async def test_the_file_is_closed_only_once_no_thread_is_at_it() -> None:
    before = nameless_files()
    spool = SPOOLS.open()
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
    with closing(SPOOLS.open()) as spool:
        dropped = Encoded(spool)
        dropped.add(b"a" * (KEPT - 10))
        dropped.drop()
        assert not Encoded(spool).add(b"b" * 100)
        assert nameless_files() == before


async def test_a_list_that_is_dropped_only_after_its_answer_was_closed_gives_nothing_back_again() -> None:
    spools = Spools(LONG, LONG)
    with closing(spools.open()) as spool:
        late = Encoded(spool)
        late.add(b"a" * 1000)
    late.drop()
    assert spools.kept == 0


async def test_an_answer_may_have_so_many_bytes_and_no_more() -> None:
    with closing(Spools(100, 100).open()) as spool:
        Encoded(spool).add(b"a" * 60)
        Encoded(spool).add(b"b" * 40)
        with pytest.raises(AnswerTooLarge, match="more than 100 bytes"):
            Encoded(spool).add(b"c")


async def test_all_answers_together_may_wait_with_so_many_bytes_on_disk_until_one_is_closed() -> None:
    spools = Spools(LONG, LONG)
    with closing(spools.open()) as second:
        with closing(spools.open()) as first:
            await first.write(b"a" * (LONG - 1))
            with pytest.raises(Overloaded):
                await second.write(b"bb")
        await second.write(b"b" * LONG)


async def test_answers_never_take_more_than_half_of_what_the_disk_has_free(monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage("/")._replace(free=2 * LONG)

    def usage(_: object) -> object:
        return free

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with closing(SPOOLS.open()) as spool:
        with pytest.raises(Overloaded):
            await spool.write(b"a" * (LONG + 1))
        await spool.write(b"a" * LONG)


async def test_many_answers_that_wait_in_memory_go_to_their_files() -> None:
    before = nameless_files()
    spools = Spools(KEPT_BY_ALL, KEPT_BY_ALL)
    with ExitStack() as open_spools:
        lists = [Encoded(open_spools.enter_context(closing(spools.open()))) for _ in range(KEPT_BY_ALL // KEPT + 1)]
        *others, last = lists
        assert not any(each.add(b"a" * KEPT) for each in others)
        assert last.add(b"a")
        await last.write()
        assert nameless_files() == before + 1
    assert spools.kept == 0
