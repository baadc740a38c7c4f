"""One question to a polled source, and what it answers."""

import asyncio
from dataclasses import dataclass

import httpx

from datacosmos.errors import DataServerDown
from datacosmos.sources.source import Polled, Source


@dataclass(frozen=True, slots=True)
class Served:
    """A body that a source has handed over; `broken` says why the body isn't whole."""

    body: bytes
    broken: str | None = None


async def fetch(client: httpx.AsyncClient, source: Source, polled: Polled) -> Served | None:
    """Ask for one point; None where there is none now. Once a 200 has come, whatever arrived of the body counts."""
    body = bytearray()
    status, seconds = 0, polled.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds), client.stream("GET", polled.url) as response:
            status = response.status_code
            if status == 200:
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > source.max_bytes:
                        return Served(bytes(body), f"the {source.payload} is longer than {source.max_bytes} bytes")
    except (httpx.HTTPError, TimeoutError) as error:
        fault = str(error) or f"no answer within {seconds:g} s"
        if status != 200:
            raise DataServerDown(fault) from error
        return Served(bytes(body), f"the body broke off: {fault}")
    if status == 200:
        return Served(bytes(body))
    if status == 404:
        return None
    raise DataServerDown(f"it answered {status}")
