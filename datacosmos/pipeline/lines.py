"""Puts lines of a source's records on the queue, as many at once as have arrived."""

import asyncio
import os
import stat
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

import uuid_utils

from datacosmos.domain.points import Reason
from datacosmos.errors import InvalidFile
from datacosmos.pipeline.publishing import publish_durably
from datacosmos.pipeline.queue import Queue
from datacosmos.sources.json.record_stream import Record, RecordStream
from datacosmos.sources.likeness import likeness
from datacosmos.sources.source import Records, Source

PIECE = 256 * 1024
MOST_READINGS = 2000
LOOKED_AT = 100  # records
SHOWN_EACH = 2.0  # seconds


class Progress:
    """Shows now and then how far it has come, and at once what it waits for."""

    def __init__(self, show: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._show = show
        self._clock = clock
        self._next = clock() + SHOWN_EACH
        self._waiting = False

    def note(self, tally: "Tally") -> None:
        if self._waiting:
            self._show("going on")
        self._waiting = False
        if self._clock() >= self._next:
            self._next = self._clock() + SHOWN_EACH
            self._show(f"{tally}; durable up to line {tally.last_line}")

    def waiting(self, fault: str) -> None:
        if not self._waiting:
            self._show(f"waiting: {fault}")
        self._waiting = True


@dataclass(slots=True)
class Tally:
    """Records durably on the queue, the line that the last of them ends on, and how they were judged.

    Duplicates are told only later, by the store.
    """

    kind: str = "lines"
    lines: int = 0
    last_line: int = 0
    reasons: Counter[Reason | None] = field(default_factory=Counter[Reason | None])

    def __str__(self) -> str:
        accepted = self.reasons[None]
        discarded = ", ".join(f"{reason}: {n}" for reason, n in self.reasons.items() if reason is not None)
        return f"{self.lines} {self.kind}: {accepted} accepted, {self.lines - accepted} discarded" + (
            f" ({discarded})" if discarded else ""
        )


async def ingest_lines(
    file: BinaryIO,
    queue: Queue,
    source: Source,
    *,
    stopping: asyncio.Event,
    progress: Callable[[Tally], None],
    waiting: Callable[[str], None],
    force: bool = False,
) -> Tally:
    """Every record of a file or pipe, in order, until its end or until we are to stop; blank lines are passed over.

    Raises InvalidFile where none of the first hundred looks like a record of the source, unless by `force`, before any
    is taken; and where an array breaks off, once all before that is durable.
    """
    stream, tally = RecordStream(source.max_bytes), Tally()
    batches = _batches(file, stream, stopping)
    known = None if force else source.records
    async for records in _checked(batches, known, stopping) if known else batches:
        raws = [record.raw for record in records]
        delivery = source.receive(raws, delivery_id=str(uuid_utils.uuid7()), received_at=datetime.now(UTC))
        if not await publish_durably(queue, delivery, stopping=stopping, waiting=waiting):
            break
        tally.kind = stream.kind
        tally.lines += len(records)
        tally.last_line = records[-1].line
        tally.reasons.update(point.verdict.reason for point in delivery.points)
        progress(tally)
    if stream.fault is not None and not stopping.is_set():
        raise InvalidFile(f"{stream.fault}; all before it is durable: {tally}")
    return tally


async def _batches(file: BinaryIO, stream: RecordStream, stopping: asyncio.Event) -> AsyncGenerator[list[Record]]:
    async for piece in _pieces(file, stopping):
        records = stream.feed(piece)
        for n in range(0, len(records), MOST_READINGS):
            yield records[n : n + MOST_READINGS]
        if stream.fault is not None:
            return
    if not stopping.is_set() and (last := stream.end()):
        yield last


async def _checked(
    batches: AsyncGenerator[list[Record]], wanted: Records, stopping: asyncio.Event
) -> AsyncGenerator[list[Record]]:
    """The same, each held back until one could be of the source's. Raises InvalidFile where none of the first could."""
    held: list[list[Record]] = []
    first: list[bytes] = []
    known = False
    async for batch in batches:
        held.append(batch)
        fresh = [] if known else [record.raw for record in batch[: LOOKED_AT - len(first)]]
        first += fresh
        known = known or any(map(wanted.is_record, fresh))
        if not known and len(first) == LOOKED_AT:
            break
        while known and held:
            yield held.pop(0)
    if held and not stopping.is_set():
        raise InvalidFile(
            f"none of the first {len(first)} lines is {wanted.described}; it looks like {likeness(first)}. "
            "--force takes it in all the same, as malformed"
        )


async def _pieces(file: BinaryIO, stopping: asyncio.Event) -> AsyncGenerator[bytes]:
    """What is there, as soon as something is: a pipe or a terminal is waited for, all else read as it is."""
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not file.isatty()):  # such as /dev/null
        while not stopping.is_set() and (piece := await asyncio.to_thread(file.read, PIECE)):
            yield piece
        return
    reader = asyncio.StreamReader(limit=PIECE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    stopped = asyncio.create_task(stopping.wait())
    try:
        while True:
            reading = asyncio.create_task(reader.read(PIECE))
            await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                return
            if not (piece := reading.result()):
                return
            yield piece
    finally:
        stopped.cancel()
        transport.close()
