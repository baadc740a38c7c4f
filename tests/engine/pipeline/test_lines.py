"""Lines on their way to the queue, from real pipes and files."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, BinaryIO, cast

import pytest

from datacosmos.domain.points import Reason
from datacosmos.errors import InvalidFile
from datacosmos.pipeline.lines import MOST_READINGS, Progress, Tally, ingest_lines
from datacosmos.pipeline.queue import Queue
from datacosmos.settings import Settings
from datacosmos.sources.json.record_stream import RecordStream
from datacosmos.sources.sensors import MAX_RECORD, source
from tests.queues import take_all

Ingest = Callable[..., "asyncio.Task[Tally]"]


def line(n: int) -> bytes:
    content = {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"}
    return json.dumps({"id": f"s{n}", "type": "Sensor", "content": content}).encode()


async def raws(queue: Queue) -> list[bytes]:
    return [point.reading.raw for delivery in await take_all(queue) for point in delivery.points]


@pytest.fixture
def stopping() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def ingest(settings: Settings, queue: Queue, stopping: asyncio.Event) -> Ingest:
    def start(file: BinaryIO, *, force: bool = False) -> asyncio.Task[Tally]:
        unheard: dict[str, Callable[[Any], None]] = {"progress": lambda _: None, "waiting": lambda _: None}
        return asyncio.create_task(
            ingest_lines(file, queue, source(settings), stopping=stopping, force=force, **unheard)
        )

    return start


@asynccontextmanager
async def pipe() -> AsyncGenerator[tuple[BinaryIO, BinaryIO]]:
    """Where to read and where to write."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        yield source, sink


async def received(queue: Queue, count: int) -> None:
    """Returns once so many messages have been put on the queue."""
    async with asyncio.timeout(20):
        while (await queue.state()).received < count:
            await asyncio.sleep(0.01)


@contextmanager
def stored(content: bytes) -> Generator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield cast("BinaryIO", file)


async def test_lines_come_onto_the_queue_in_order_and_blank_ones_only_count_as_lines(
    ingest: Ingest, queue: Queue
) -> None:
    lines = [line(1), b"", b"rubbish", b"  ", b"\xff\x00", line(2), b""]
    with stored(b"\n".join(lines) + b"\n\n") as file:
        tally = await ingest(file)
    assert await raws(queue) == [line(1), b"rubbish", b"\xff\x00", line(2)]
    assert (tally.lines, tally.last_line) == (4, 6)
    assert tally.reasons == {None: 2, Reason.MALFORMED: 2}
    assert str(tally) == "4 lines: 2 accepted, 2 discarded (malformed: 2)"


async def test_a_last_line_need_not_be_ended(ingest: Ingest, queue: Queue) -> None:
    with stored(line(1) + b"\n" + line(2)) as file:
        assert (await ingest(file)).last_line == 2
    assert await raws(queue) == [line(1), line(2)]


async def test_many_lines_go_in_messages_that_each_hold_a_bounded_number(ingest: Ingest, queue: Queue) -> None:
    count = 3 * MOST_READINGS
    with stored(b"5\n" * count) as file:
        assert (await ingest(file, force=True)).last_line == count
    sizes = [len(delivery.points) for delivery in await take_all(queue)]
    assert sum(sizes) == count
    assert max(sizes) == MOST_READINGS


async def test_a_line_of_many_megabytes_is_one_malformed_reading_cut_short(ingest: Ingest, queue: Queue) -> None:
    with stored(b"x" * 20_000_000 + b"\n" + line(1)) as file:
        tally = await ingest(file)
    assert [len(raw) for raw in await raws(queue)] == [MAX_RECORD, len(line(1))]
    assert (tally.last_line, tally.reasons) == (2, {Reason.MALFORMED: 1, None: 1})


async def test_what_arrives_in_a_pipe_is_queued_while_the_pipe_is_quiet(ingest: Ingest, queue: Queue) -> None:
    async with pipe() as (source, sink):
        task = ingest(source)
        for n in range(3):
            sink.write(line(n) + b"\n" + line(n)[:20])
            await received(queue, n + 1)
            sink.write(line(n)[20:] + b"\n")
            await received(queue, n + 1)
        sink.close()
        assert (await task).last_line == 6
    assert await raws(queue) == [line(n) for n in range(3) for _ in range(2)]


async def test_a_stop_is_heard_while_a_pipe_is_quiet_and_half_a_line_is_left_out(
    ingest: Ingest, queue: Queue, stopping: asyncio.Event
) -> None:
    async with pipe() as (source, sink):
        task = ingest(source)
        sink.write(line(1) + b"\n" + line(2)[:20])
        await received(queue, 1)
        stopping.set()
        async with asyncio.timeout(20):
            tally = await task
    assert tally.last_line == 1
    assert await raws(queue) == [line(1)]


async def test_nothing_to_read_is_no_lines(ingest: Ingest, queue: Queue) -> None:
    with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230, PTH123
        assert await ingest(nothing) == Tally()
    async with pipe() as (source, sink):
        sink.close()
        assert await ingest(source) == Tally()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n "])
@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n  "])
async def test_an_array_is_taken_as_its_records(ingest: Ingest, queue: Queue, start: bytes, between: bytes) -> None:
    items = [line(1), b"[5]", json.dumps(json.loads(line(2)), indent=2).encode()]
    with stored(start + b"[" + between + (b"," + between).join(items) + between + b"]" + between) as file:
        tally = await ingest(file)
    assert await raws(queue) == items
    assert str(tally) == "3 records: 2 accepted, 1 discarded (malformed: 1)"


async def test_a_byte_order_mark_is_no_part_of_the_first_line(ingest: Ingest, queue: Queue) -> None:
    with stored(b"\xef\xbb\xbf" + line(1) + b"\n\xef\xbb\xbf" + line(2) + b"\n") as file:
        assert (await ingest(file)).reasons == {None: 2}


async def test_what_comes_in_an_array_is_queued_before_the_array_is_whole(ingest: Ingest, queue: Queue) -> None:
    async with pipe() as (source, sink):
        task = ingest(source)
        for n in range(3):
            sink.write(b"[,,"[n : n + 1] + line(n) + b"\n")
            await received(queue, n)
        sink.write(b"]\n[]" + b"[" + line(3) + b"]\n" + line(4))
        sink.close()
        assert (await task).last_line == 6
    assert await raws(queue) == [line(n) for n in range(5)]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (b"", "line 3: .* without its closing bracket"),
        (b",]", "line 3: .* too many"),
        (b"}", "line 3: .* too many"),
        (b', "' + b"x" * 2 * MAX_RECORD, "line 3: .* longer than"),
    ],
)
async def test_an_array_that_breaks_off_is_an_error_and_all_before_it_is_durable(
    ingest: Ingest, queue: Queue, broken: bytes, says: str
) -> None:
    durable = pytest.raises(InvalidFile, match=f"{says}.*; all before it is durable: [23] records")
    with stored(b"[" + line(1) + b",\n" + line(2) + b"\n," + line(3) + broken) as file, durable:
        await ingest(file)
    assert (await raws(queue))[:2] == [line(1), line(2)]


@pytest.mark.parametrize("inner", [b"[" * 600 + b"]" * 600, b"[" + b"0," * 2000 + b"0]"])
async def test_an_item_of_many_brackets_is_one_malformed_record(ingest: Ingest, queue: Queue, inner: bytes) -> None:
    items = [line(1), b'{"a": ' + inner + b"}", line(2)]
    with stored(b"[" + b",".join(items) + b"]") as file:
        assert (await ingest(file)).reasons == {None: 2, Reason.MALFORMED: 1}
    assert await raws(queue) == items


@pytest.mark.parametrize(("broken", "says"), [(b"[1,,2]", "too many"), (b"[1", "without its closing bracket")])
def test_the_end_of_a_stream_is_no_fault_besides_an_earlier_one(broken: bytes, says: str) -> None:
    stream = RecordStream(MAX_RECORD)
    stream.feed(broken)
    assert stream.end() == []
    assert says in (stream.fault or "")


CSV = b"".join(b"%d,2,3\n" % n for n in range(200))


@pytest.mark.parametrize("content", [CSV, b"rubbish", b"[1, 2]", CSV + line(1)])
async def test_a_stream_that_begins_with_no_record_is_refused_before_anything_is_taken(
    ingest: Ingest, queue: Queue, content: bytes
) -> None:
    with stored(content) as file, pytest.raises(InvalidFile, match="it looks like"):
        await ingest(file)
    assert (await queue.state()).received == 0
    with stored(content) as file:
        assert (await ingest(file, force=True)).reasons[Reason.MALFORMED] > 0


async def test_a_stream_is_known_by_its_hundredth_record(ingest: Ingest, queue: Queue) -> None:
    lines = [b"rubbish"] * 99 + [b'{"id": 1, "type": 2, "content": 3}', line(1)]
    with stored(b"\n\n".join(lines)) as file:
        assert (await ingest(file)).reasons == {Reason.MALFORMED: 100, None: 1}
    assert await raws(queue) == lines


async def test_a_stop_before_a_record_was_seen_is_no_refusal(
    ingest: Ingest, queue: Queue, stopping: asyncio.Event
) -> None:
    async with pipe() as (source, sink):
        task = ingest(source)
        sink.write(b"rubbish\n")
        await asyncio.sleep(0)
        stopping.set()
        assert await task == Tally()


def test_progress_is_shown_every_two_seconds_and_a_wait_at_once_but_only_once() -> None:
    now, shown = [0.0], list[str]()
    progress = Progress(shown.append, lambda: now[0])
    tally = Tally(lines=3, last_line=4)
    progress.note(tally)
    assert shown == []
    now[0] = 2.0
    progress.note(tally)
    progress.note(tally)
    assert shown == ["3 lines: 0 accepted, 3 discarded; durable up to line 4"]
    progress.waiting("the queue is full")
    progress.waiting("the queue is full")
    progress.note(tally)
    assert shown[1:] == ["waiting: the queue is full", "going on"]
