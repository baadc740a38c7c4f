"""Where pushed bodies are parsed: small ones beside large ones, so that none waits for what takes seconds."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from datacosmos.bounds import Bound
from datacosmos.http.bodies import Body, BodyTooLarge
from datacosmos.threads import Process, Threads

T = TypeVar("T")
SMALL, SHORT = 4 << 20, 256 << 10  # bytes, unpacked
GROWTH = 8  # times its bytes are the most that a body is parsed to: "1," is two of them, and a point 16
PARSED, PARSED_WAITING, SHORT_WAITING = 64 << 20, 100, 1000
SMALL_THREADS, SMALL_WAITING = 2, 100
UPLOADS_AT_ONCE, UPLOADS_WAITING = 2, 16  # one is stored while the next is parsed
UPLOADS_PATIENCE = timedelta(seconds=30)


class Parsing:
    """Threads for small bodies, and processes for long ones, whose parsing would keep others from the interpreter.

    All count as in hand until they are stored, as their points may take several times their bytes: large uploads by
    their number, others by what they are parsed to. Short ones have room apart, so that they wait for no longer ones.
    """

    def __init__(self) -> None:
        self._small = Threads("parsing", SMALL_THREADS, "pushes", waiting=SMALL_WAITING)
        self._apart = Process("parsing_apart", "long pushes of readings", waiting=SMALL_WAITING)
        self._uploads = Bound(
            "uploads", UPLOADS_AT_ONCE, "large uploads", waiting=UPLOADS_WAITING, patience=UPLOADS_PATIENCE
        )
        self._parsed = Bound("parsed", PARSED, "bytes of pushes", waiting=PARSED_WAITING)
        self._short = Bound("parsed_short", PARSED, "bytes of short pushes", waiting=SHORT_WAITING)
        self._large = Process("parsing_uploads", "large uploads", waiting=UPLOADS_AT_ONCE, patience=UPLOADS_PATIENCE)

    @asynccontextmanager
    async def parsed(
        self, body: Body, parse: Callable[[bytes], T], *, limit: int, at_once: int, apart: float
    ) -> AsyncGenerator[T]:
        """What the body holds, in hand until the end; less than `at_once` bytes are parsed on the event loop, and no
        fewer than `apart` in another process.

        Raises what `parse` does, BodyTooLarge, BrokenBody, Overloaded, and Unavailable.
        """
        size = body.declared_size
        if size <= SMALL:
            async with (self._short if size <= SHORT else self._parsed).turn(GROWTH * size):
                if not body.packed and size < at_once:
                    yield parse(body.unpack(limit))
                    return
                try:
                    small = await self._parse_small(body, parse, min(limit, size), in_process=size >= apart)
                except BodyTooLarge:
                    pass  # it is larger than it tells, or than it may be
                else:
                    yield small
                    return
        async with self._uploads.turn():
            yield await self._large.run(_unpack_and_parse, body, parse, limit)

    async def _parse_small(self, body: Body, parse: Callable[[bytes], T], limit: int, *, in_process: bool) -> T:
        if not in_process:
            return await self._small.run(_unpack_and_parse, body, parse, limit)
        unpacked = await self._small.run(body.unpack, limit) if body.packed else body.unpack(limit)
        return await self._apart.run(parse, unpacked)


def _unpack_and_parse(body: Body, parse: Callable[[bytes], T], limit: int) -> T:
    return parse(body.unpack(limit))
