"""Reads a list part by part, each of which is JSON before the next is there, with turns for others in between."""

import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from datacosmos.api.lists.encoding import Encoded
from datacosmos.api.lists.spool import Spool
from datacosmos.domain.columns import Columns, Table
from datacosmos.domain.points import Point
from datacosmos.domain.series import Samples
from datacosmos.slices import SLICE, next_slice

Rows = TypeVar("Rows", Columns, Columns | Table)
Long = TypeVar("Long", Columns, Columns | Table, list[Point], Samples)
PART = 2000
"""Rows that are encoded in one slice at the most."""


class Parts:
    """Cuts rows into parts that take a slice each, by how long the ones before took."""

    def __init__(self) -> None:
        self._rows = max(1, PART // 4)

    def of(self, rows: Long) -> Iterator[Long]:
        begin = 0
        while begin < len(rows):
            end = begin + self._rows
            yield rows[begin:end]  # after which it may be another number
            begin = end

    @contextmanager
    def working_on(self, rows: int) -> Generator[None]:
        """So many rows are worked on, without a pause."""
        began = time.thread_time()
        yield
        seconds = max(time.thread_time() - began, 1e-6)
        self._rows = max(1, min(PART, round(rows * SLICE / seconds)))


@dataclass(slots=True)
class Outcome:
    """The lists by name, rows found, and the cursors of the first and last in the lists."""

    lists: dict[str, Encoded]
    found: int = 0
    ends: tuple[str | None, str | None] = (None, None)
    backward: bool = False

    def note(self, first: str, last: str) -> None:
        """The cursors of the first and the last of some rows, as they came."""
        start, end = self.ends
        self.ends = (last, end or first) if self.backward else (start or first, last)


@dataclass(slots=True)
class Source(Generic[Rows]):
    """Where rows come from, what each list makes of them, and their cursors, where those are wanted.

    After its first part a list waits for a slice for each other one, so that short lists pass by long ones, and none
    holds up others for longer than a slice.
    """

    batches: AsyncGenerator[Rows]
    encoders: Mapping[str, Callable[[Rows], bytes]]
    cursor: Callable[[Rows], str] | None = None

    async def read(self, most: int, spool: Spool, *, backward: bool = False) -> Outcome:
        """Encodes `most`, and counts the others; `backward`, the rows that come last are the first of the list.

        Raises what encoders and the store raise.
        """
        outcome = Outcome({name: Encoded(spool, backward=backward) for name in self.encoders}, backward=backward)
        parts = Parts()
        try:
            async with aclosing(self.batches) as batches:
                async for batch in batches:
                    if rows := batch[: max(0, most - outcome.found)]:
                        await self._encode(rows, outcome, parts)
                    outcome.found += len(batch)
                    del batch, rows  # the next may be long in coming
        except BaseException:
            for encoded in outcome.lists.values():
                encoded.drop()
            raise
        return outcome

    async def _encode(self, found: Rows, outcome: Outcome, parts: Parts) -> None:
        is_first = not outcome.found
        for part in parts.of(found):
            if not is_first:
                await next_slice()
            is_first = False
            with parts.working_on(len(part)):
                rows = part[::-1] if outcome.backward else part
                texts = [encode(rows) for encode in self.encoders.values()]
            for encoded, text in zip(outcome.lists.values(), texts, strict=True):
                await encoded.add(text)
        if self.cursor is not None:
            outcome.note(self.cursor(found[:1]), self.cursor(found[-1:]))
