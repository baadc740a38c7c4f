"""Formats that a list of any length is written in, part by part: no more of it is in memory than a batch."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic

from datacosmos.api.lists.parts import Long, Parts
from datacosmos.slices import next_slice


@dataclass(frozen=True, slots=True)
class Format(Generic[Long]):
    """How some rows are encoded, and what stands before, between and behind them."""

    encode: Callable[[Long], bytes]
    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""

    async def write(self, first: Long, batches: AsyncGenerator[Long]) -> AsyncGenerator[bytes]:
        """The tail comes only after the last batch: a failure before that leaves it out."""
        between, parts = b"", Parts()
        async with aclosing(batches):
            if self.head:
                yield self.head
            batch: Long | None = first
            while batch is not None:
                for part in parts.of(batch):
                    yield between + parts.encode(self.encode, part)
                    between = self.between
                    await next_slice()
                batch = await anext(batches, None)
        if self.tail:
            yield self.tail
