"""How the body of every push of points is read."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

from starlette.requests import Request

from datacosmos.api.rest.parsing import Parsing
from datacosmos.http.bodies import read_packed

LONG = 1 << 17  # bytes; parsing more than this takes longer than the others should wait
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pushes:
    """Bodies of up to `max_bytes`; what is parsed counts as in hand until it is stored."""

    max_bytes: int
    parsing: Parsing = field(default_factory=Parsing)

    @asynccontextmanager
    async def read(
        self, request: Request, parse: Callable[[bytes], T], *, long: int = LONG, apart: float = inf
    ) -> AsyncGenerator[T]:
        """What a body holds, in hand until the end; one from `long` bytes on is parsed beside the event loop, and from
        `apart` bytes on in another process, which then must be able to get what parses, and this one the content."""
        body = await read_packed(request, self.max_bytes)
        async with self.parsing.parsed(body, parse, limit=self.max_bytes, at_once=long, apart=apart) as content:
            yield content
