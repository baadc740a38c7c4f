"""GET /points, the export: points a second, and the memory of the API meanwhile."""

import statistics
from datetime import timedelta
from itertools import repeat
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from clients import get, load
from servers import Server
from stored import START


class Export(NamedTuple):
    points: int
    seconds: float
    memory: float  # MB

    def __str__(self) -> str:
        rate = self.points / self.seconds
        return f"| {self.points:,} | {self.seconds * 1000:,.0f} ms | {rate:,.0f} | {self.memory:,.0f} MB |"


async def export(server: Server, points: int, runs: int) -> Export:
    """The median of some runs, and the peak of the memory in all of them."""
    range_ = {"start": START.isoformat(), "end": (START + timedelta(seconds=points - 1)).isoformat()}
    target = get(f"/points?{urlencode(range_)}")
    address = "http://{0.hostname}:{0.port}".format(urlsplit(server.url))
    server.peak_memory()
    done = await load(address, repeat(target), clients=1, least=points * 40, most=runs)
    return Export(points, statistics.median(done.took), server.peak_memory())
