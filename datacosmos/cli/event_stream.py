"""Server-sent events as they come (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the last that was given, if any was."""

    type: str
    data: bytes
    id: str | None


def read_events(pieces: Iterable[bytes]) -> Iterator[Event]:
    """The whole ones of a stream that may break off anywhere; lines may end with CR LF or LF."""
    kind, last_id, data = "message", None, list[bytes]()
    for line in _lines(pieces):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"" if not line:
                if data:
                    yield Event(kind, b"\n".join(data), last_id)
                kind, data = "message", []
            case b"data":
                data.append(value)
            case b"event":
                kind = value.decode(errors="replace")
            case b"id":
                last_id = value.decode(errors="replace")
            case _:
                pass  # a comment, or for browsers


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = list[bytes]()
    for piece in pieces:
        *ended, last = piece.split(b"\n")
        for line in ended:
            rest.append(line)
            yield b"".join(rest).removesuffix(b"\r")
            rest = []
        rest.append(last)
