"""Reads a list part by part, each of which is JSON before the next is there, with turns for others in between."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from datacosmos.api.lists.encoding import Encoded
from datacosmos.api.lists.spool import Spool
from datacosmos.domain.columns import Columns, Records
from datacosmos.domain.points import Point
from datacosmos.domain.series import Samples

AT_ONCE = 2
Rows = TypeVar("Rows", Columns, Columns | Records)
Long = TypeVar("Long", Columns, Columns | Records, list[Point], Samples)
PART, PART_BYTES = 2000, 1 << 20
"""Rows and bytes that are encoded before others get their turn, about: a few milliseconds' work."""


@dataclass(frozen=True, slots=True)
class EncodingTurns:
    """How many parts of lists of a kind are encoded at once, over all requests: more would not be done sooner.

    Those made of documents take longer than those made of columns, so they have turns of their own.
    """

    columns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    documents: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


class Parts:
    """Cuts rows into parts of a few milliseconds, by how long the ones before became."""

    def __init__(self) -> None:
        self._rows = PART // 2

    def of(self, rows: Long) -> Iterator[Long]:
        begin = 0
        while begin < len(rows):
            end = begin + self._rows
            yield rows[begin:end]  # after which it may be another number
            begin = end

    def note(self, rows: int, size: int) -> None:
        """So many rows became so many bytes."""
        self._rows = max(1, min(PART, PART_BYTES * rows // max(1, size)))


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

    After its first part a list waits for a turn before each other one, so that short lists pass by long ones, and
    none holds up the others of its kind for longer than a part.
    """

    batches: AsyncGenerator[Rows]
    turns: asyncio.Semaphore
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
                        await self._encode(rows, outcome, parts, spool)
                    outcome.found += len(batch)
                    del batch, rows  # the next may be long in coming
        except BaseException:
            for encoded in outcome.lists.values():
                encoded.drop()
            raise
        return outcome

    async def _encode(self, rows: Rows, outcome: Outcome, parts: Parts, spool: Spool) -> None:
        is_first = not outcome.found
        for part in parts.of(rows):
            async with nullcontext() if is_first else self.turns:
                parts.note(len(part), await self._add(part, outcome, spool))
            is_first = False
        if self.cursor is not None:
            outcome.note(self.cursor(rows[:1]), self.cursor(rows[-1:]))

    async def _add(self, part: Rows, outcome: Outcome, spool: Spool) -> int:
        """The bytes of the longest of its encodings."""
        size = 1
        for name, encode in self.encoders.items():
            if spool.kept:  # more than a short list
                await asyncio.sleep(0)
            text = encode(part[::-1] if outcome.backward else part)
            await outcome.lists[name].add(text)
            size = max(size, len(text))
        return size
