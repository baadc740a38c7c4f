"""Puts lines of sensors' records on the queue, as many at once as have arrived."""

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
from datacosmos.pipeline.insist import insist
from datacosmos.pipeline.queue import Queue
from datacosmos.settings import Settings
from datacosmos.sources import sensors

PIECE = 256 * 1024
MOST_READINGS = 2000
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
    """Lines durably on the queue, the number that the last of them has in the file, and how they were judged.

    Duplicates are told only later, by the store.
    """

    lines: int = 0
    last_line: int = 0
    reasons: Counter[Reason | None] = field(default_factory=Counter[Reason | None])

    def __str__(self) -> str:
        accepted = self.reasons[None]
        discarded = ", ".join(f"{reason}: {n}" for reason, n in self.reasons.items() if reason is not None)
        return f"{self.lines} lines: {accepted} accepted, {self.lines - accepted} discarded" + (
            f" ({discarded})" if discarded else ""
        )


async def ingest_lines(
    file: BinaryIO,
    queue: Queue,
    settings: Settings,
    *,
    stopping: asyncio.Event,
    progress: Callable[[Tally], None],
    waiting: Callable[[str], None],
) -> Tally:
    """Every line of a file or pipe, in order, until its end or until we are to stop; blank ones are passed over."""
    tally = Tally()
    judges = sensors.rules(settings.sensors_max_age)
    async for last_line, records in _batches(file, stopping):
        delivery = sensors.receive(
            records, delivery_id=str(uuid_utils.uuid7()), received_at=datetime.now(UTC), judges=judges
        )
        if not await insist(queue, delivery, stopping=stopping, waiting=waiting):
            break
        tally.lines += len(records)
        tally.last_line = last_line
        tally.reasons.update(point.verdict.reason for point in delivery.points)
        progress(tally)
    return tally


async def _batches(file: BinaryIO, stopping: asyncio.Event) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """Records, and the number of the line that the last of them stands on."""
    rest, read = b"", 0
    async for piece in _pieces(file, stopping):
        *lines, rest = (rest + piece).split(b"\n")
        # Of an endless line no more is held than is kept of it.
        rest = rest[: sensors.MAX_RECORD + 1]
        for n in range(0, len(lines), MOST_READINGS):
            batch = lines[n : n + MOST_READINGS]
            read += len(batch)
            if records := [line for line in batch if line.strip()]:
                yield read, records
    if rest.strip() and not stopping.is_set():
        yield read + 1, [rest]


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
