"""Reads a list part by part, each of which is JSON before the next is there."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from datacosmos.api.graphql.fast.encoded import Encoded
from datacosmos.domain.columns import Columns
from datacosmos.domain.points import Point

Rows = TypeVar("Rows", Columns, list[Point])
PART = 4000
"""Rows that are encoded before others get their turn: a few milliseconds' work. A list of more is a long one."""


@dataclass(slots=True)
class Outcome:
    """The lists by name, how many rows were found, and the cursors of the first and the last that the lists hold."""

    lists: dict[str, Encoded]
    found: int = 0
    ends: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Source(Generic[Rows]):
    """Where rows come from, what each list makes of them, and their cursors, where those are wanted."""

    batches: AsyncGenerator[Rows]
    encoders: Mapping[str, Callable[[Rows], bytes]]
    cursor: Callable[[Rows], str] | None = None

    async def read(self, most: int, turns: asyncio.Semaphore) -> Outcome:
        """Encodes `most`, and counts the others. Raises NotCovered, NoColumns, and what else the store raises."""
        outcome = Outcome({name: Encoded() for name in self.encoders})
        waited = False
        async with aclosing(self.batches) as batches, AsyncExitStack() as held:
            async for batch in batches:
                if not waited and outcome.found + len(batch) > PART:
                    await held.enter_async_context(turns)
                    waited = True
                if rows := batch[: max(0, most - outcome.found)]:
                    await self._encode(rows, outcome)
                outcome.found += len(batch)
        return outcome

    async def _encode(self, rows: Rows, outcome: Outcome) -> None:
        for begin in range(0, len(rows), PART):
            if begin:
                await asyncio.sleep(0)
            self._encode_part(rows[begin : begin + PART], outcome)
        if self.cursor is not None:
            outcome.ends = outcome.ends[0] or self.cursor(rows[:1]), self.cursor(rows[-1:])

    def _encode_part(self, part: Rows, outcome: Outcome) -> None:
        for name, encode in self.encoders.items():
            outcome.lists[name].parts.append(encode(part))
