"""Lists that are JSON already, on their way into an answer."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from datacosmos.api.lists.answers import WHOLE, Piece
from datacosmos.api.lists.spool import Span, Spool

PLACE = b"\0"  # stands for a list in the answer; no JSON holds it


class Encoded:
    """A list of rows, as parts of some rows each. Parts that the answer has no memory for go to its file.

    `backward`, each part comes before those that were added earlier.
    """

    def __init__(self, spool: Spool, *, backward: bool = False) -> None:
        self._spool, self._backward = spool, backward
        self._written: list[Span] = []
        self._kept: list[bytes] = []

    def add(self, part: bytes) -> bool:
        """Some rows more, comma-separated; whether what waits in memory is to be written now. Raises AnswerTooLarge."""
        is_full = self._spool.keep(len(part))
        self._kept.append(part)
        return is_full

    async def write(self) -> None:
        """What waits in memory, into the file. Raises TemporaryFilesFull, Overloaded."""
        text = self._join()
        self.drop()
        self._written.append(await self._spool.write(text))

    def drop(self) -> None:
        """Let go of what waits in memory."""
        self._spool.let_go(sum(map(len, self._kept)))
        self._kept.clear()

    def _join(self) -> bytes:
        return b",".join(reversed(self._kept) if self._backward else self._kept)

    def whole(self) -> "orjson.Fragment | Encoded":
        """Its JSON where that is short."""
        if self._written or len(text := self._join()) > WHOLE:
            return self
        return orjson.Fragment(b"[%b]" % text)

    def pieces(self) -> Iterator[Piece]:
        """A bracket or a comma, and a part, in turn."""
        parts: list[Piece] = [*self._written, *([self._join()] if self._kept else ())]
        between = b"["
        for part in reversed(parts) if self._backward else parts:
            yield between
            yield part
            between = b","
        yield b"]" if parts else b"[]"


def dump(body: Mapping[str, Any]) -> list[Piece]:
    """The answer in pieces, to be sent one after the other: a long one is never in memory as a whole."""
    lists: list[Encoded] = []

    def place(value: object) -> orjson.Fragment:
        if not isinstance(value, Encoded):
            raise TypeError(f"{type(value).__name__} is no JSON")
        lists.append(value)
        return orjson.Fragment(PLACE)

    first, *others = orjson.dumps(body, default=place).split(PLACE)
    pieces: list[Piece] = [first]
    for encoded, text in zip(lists, others, strict=True):
        pieces += [*encoded.pieces(), text]
    return pieces
