"""Lists that are JSON already, on their way into an answer."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

PLACE = b"\0"  # stands for a list in the answer; no JSON holds it


class Encoded:
    """A list of rows: `parts` are some rows each, parted by commas."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def pieces(self) -> Iterator[bytes]:
        yield b"["
        for number, part in enumerate(self.parts):
            if number:
                yield b","
            yield part
        yield b"]"


class Edges(dict[str, Encoded]):
    """The edges of one page, by the name they are asked for under."""


def dump(body: Mapping[str, Any]) -> list[bytes]:
    """The answer in pieces, to be sent one after the other: a long one is never in memory twice."""
    lists: list[Encoded] = []

    def place(value: object) -> orjson.Fragment:
        if not isinstance(value, Encoded):
            raise TypeError(f"{type(value).__name__} is no JSON")
        lists.append(value)
        return orjson.Fragment(PLACE)

    first, *others = orjson.dumps(body, default=place).split(PLACE)
    pieces = [first]
    for encoded, text in zip(lists, others, strict=True):
        pieces += [*encoded.pieces(), text]
    return pieces
