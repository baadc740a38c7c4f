"""Reads a list part by part, each of which is JSON before the next is there."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from datacosmos.api.graphql.fast.encoded import Encoded
from datacosmos.api.graphql.spool import Spool
from datacosmos.domain.columns import Columns

Rows = TypeVar("Rows", Columns, list[Any])
PART = 2000
"""Rows that are encoded before others get their turn: a few milliseconds' work."""


@dataclass(slots=True)
class Outcome:
    """The lists by name, how many rows were found, and the cursors of the first and the last that the lists hold."""

    lists: dict[str, Encoded]
    found: int = 0
    ends: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Source(Generic[Rows]):
    """Where rows come from, what each list makes of them, and their cursors, where those are wanted.

    After its first batch a list waits for a turn before each other one, so that short lists pass by long ones, and
    none holds up the others of its kind for longer than a batch.
    """

    batches: AsyncGenerator[Rows]
    turns: asyncio.Semaphore
    encoders: Mapping[str, Callable[[Rows], bytes]]
    cursor: Callable[[Rows], str] | None = None

    async def read(self, most: int, spool: Spool) -> Outcome:
        """Encodes `most`, and counts the others. Raises NotCovered, NoColumns, and what else the store raises."""
        outcome = Outcome({name: Encoded(spool) for name in self.encoders})
        try:
            async with aclosing(self.batches) as batches:
                async for batch in batches:
                    async with self.turns if outcome.found else nullcontext():
                        if rows := batch[: max(0, most - outcome.found)]:
                            await self._encode(rows, outcome, spool)
                    outcome.found += len(batch)
        except BaseException:
            for encoded in outcome.lists.values():
                encoded.drop()
            raise
        return outcome

    async def _encode(self, rows: Rows, outcome: Outcome, spool: Spool) -> None:
        for part in _parts(rows):
            for name, encode in self.encoders.items():
                if spool.kept:  # more than a short list
                    await asyncio.sleep(0)
                await outcome.lists[name].add(encode(part))
        if self.cursor is not None:
            outcome.ends = outcome.ends[0] or self.cursor(rows[:1]), self.cursor(rows[-1:])


def _parts(rows: Rows) -> Iterator[Rows]:
    for begin in range(0, len(rows), PART):
        yield rows[begin : begin + PART]
