"""What every push of points shares: who may send it, and how its body is read."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from starlette.requests import Request

from datacosmos.api.access import HOW, Gate
from datacosmos.errors import Forbidden, Unauthenticated, UnknownSeries
from datacosmos.http.bodies import read_unpacked
from datacosmos.settings import Settings
from datacosmos.store.roots import Series
from datacosmos.store.series import EVERYONE, Everyone
from datacosmos.tokens import Caller, Role

LONG = 1 << 20  # bytes; parsing more than this takes longer than the others should wait
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for series: a token's subject, or one of all those without a token, whom no series tells apart."""

    caller: Caller | None

    @property
    def owner(self) -> str | None:
        """Whose series a name means, and to whom a new one belongs."""
        return None if self.caller is None else self.caller.subject

    @property
    def is_admin(self) -> bool:
        return self.caller is not None and self.caller.role is Role.ADMIN

    @property
    def scope(self) -> str | Everyone | None:
        """Whose series are listed and counted."""
        return EVERYONE if self.is_admin else self.owner

    def require_sight(self, series: Series) -> None:
        """Raises UnknownSeries for another's: whether there is one is not told."""
        if series.owner not in (None, self.owner) and not self.is_admin:
            raise unknown_series()

    def require_ownership(self, series: Series) -> None:
        """Raises UnknownSeries, or Forbidden where it may be read but not changed."""
        self.require_sight(series)
        if series.owner != self.owner and not self.is_admin:
            raise Forbidden("this series belongs to those without a token: leave the token out")


@dataclass(frozen=True, slots=True)
class Door:
    """Lets requests in: everyone to read, and to write whom the settings allow."""

    gate: Gate
    open_ingest: bool
    max_bytes: int

    @classmethod
    def of(cls, settings: Settings, gate: Gate) -> Self:
        return cls(gate, settings.open_ingest, settings.upload_max_bytes)

    def reader(self, request: Request) -> Asker:
        return Asker(self.gate.identify(request.headers))

    def writer(self, request: Request) -> Asker:
        asker = self.reader(request)
        if asker.caller is None and not self.open_ingest:
            raise Unauthenticated(f"writing needs a token: {HOW}")
        return asker

    async def read(self, request: Request, parse: Callable[[bytes], T], *, long: int = LONG) -> T:
        """A body from `long` bytes on is parsed beside the event loop."""
        body = await read_unpacked(request, self.max_bytes)
        return parse(body) if len(body) < long else await asyncio.to_thread(parse, body)


def unknown_series() -> UnknownSeries:
    return UnknownSeries("there is no such series, or it is another's")
