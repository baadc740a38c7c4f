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

    async def add(self, part: bytes) -> None:
        """Some rows more, comma-separated. Raises AnswerTooLarge, TemporaryFilesFull, Overloaded."""
        comma = b"," if self._written or self._kept else b""
        is_full = self._spool.keep(len(comma) + len(part))
        self._kept += comma, part
        if is_full:
            self._written.append(await self._spool.write(self._take()))

    def drop(self) -> None:
        """Let go of what waits in memory: the list is not going to be sent."""
        self._take()

    def _take(self) -> bytes:
        text = self._join()
        self._kept.clear()
        self._spool.let_go(len(text))
        return text

    def _join(self) -> bytes:
        return b"".join(reversed(self._kept) if self._backward else self._kept)

    def whole(self) -> "orjson.Fragment | Encoded":
        """Its JSON where that is short."""
        if self._written or len(text := self._join()) > WHOLE:
            return self
        return orjson.Fragment(b"[%b]" % text)

    def pieces(self) -> Iterator[Piece]:
        parts: list[Piece] = [*self._written, self._join()]
        yield b"["
        yield from reversed(parts) if self._backward else parts
        yield b"]"


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
