"""PUT /location beside a bare FastAPI endpoint that validates the same body and stores nothing.

    .venv/bin/python bench/locations.py [--seconds 5] [--rounds 3] [--clients 50]

Both are real processes under the same server, asked in turns by as many clients, each with one connection and one
request under way. Ours is the whole service as `datacosmos serve` runs it, on the embedded engines.
"""

import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Annotated, cast
from urllib.parse import urlsplit

import click
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from service import service

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.simulators.locations import CITIES
from datacosmos.sources.locations import load_zones, zone_at

START = datetime(2017, 1, 1, 13, 0)  # noqa: DTZ001  local time
OURS, BARE = "datacosmos", "bare FastAPI"
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Location(BaseModel):
    """The body as FastAPI's own means would check it."""

    model_config = ConfigDict(extra="ignore")
    timestamp: datetime
    lat: Annotated[Number, Field(ge=-90, le=90)]
    long: Annotated[Number, Field(ge=-180, le=180)]
    accuracy: Annotated[Number, Field(ge=0)]
    speed: Annotated[Number, Field(ge=-1)]
    user_id: Annotated[str, Field(min_length=1, max_length=256)]


def create_bare() -> FastAPI:
    app = FastAPI()

    @app.put("/location")
    async def _put(location: Location) -> dict[str, str]:  # noqa: ARG001
        return {"result": "stored"}

    return app


class Connection(asyncio.Protocol):
    """One client: as little as HTTP takes, so that the client is not what is measured."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if found and length and len(body) >= int(length[1]):
            self._received = b""
            self._answer.set_result(head)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def put(self, body: bytes) -> None:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        head = b"PUT /location HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)
        answer = await self._answer
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer.decode())


def bodies(user: int, run: str) -> Iterator[bytes]:
    """One user's locations, ten a second, without end and without duplicates."""
    draw = random.Random(user)
    lat, long = list(CITIES.values())[user % len(CITIES)]
    for number in count():
        fields = {
            "timestamp": (START + timedelta(milliseconds=100 * number)).isoformat(" ", "milliseconds"),
            "lat": round(lat + draw.uniform(-0.1, 0.1), 7),
            "long": round(long + draw.uniform(-0.1, 0.1), 7),
            "accuracy": round(draw.uniform(3, 60), 7),
            "speed": round(draw.uniform(0, 3), 7),
            "user_id": f"{run}-{user}",
        }
        yield json.dumps(fields).encode()


async def load(address: str, clients: int, seconds: float, run: str) -> list[float]:
    """The seconds that each request took."""
    host, port = urlsplit(address).netloc.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    took: list[float] = []

    async def ask(user: int) -> None:
        transport, connection = await loop.create_connection(Connection, host, int(port))
        for body in bodies(user, run):
            began = time.perf_counter()
            await connection.put(body)
            took.append(time.perf_counter() - began)
            if loop.time() > end:
                break
        transport.close()

    await asyncio.gather(*(ask(user) for user in range(clients)))
    return took


@contextmanager
def bare() -> Generator[str]:
    """The address of the bare endpoint, in a process of its own as ours is."""
    process = subprocess.Popen([sys.executable, __file__, "--bare"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


async def serve_bare() -> None:
    async with serving(create_bare(), Settings(), host="127.0.0.1", port=0) as address:
        click.echo(address)
        await asyncio.Event().wait()


async def compare(addresses: dict[str, str], clients: int, seconds: float, rounds: int) -> dict[str, list[float]]:
    """The seconds that each request took, at each address; they are asked in turns."""
    took: dict[str, list[float]] = {name: [] for name in addresses}
    for address in addresses.values():
        await load(address, clients, 1, "warm-up")
    for number in range(rounds):
        for name, address in addresses.items():
            took[name] += await load(address, clients, seconds, f"run-{number}")
    return took


def show(took: dict[str, list[float]], seconds: float) -> None:
    quantiles = {name: statistics.quantiles(times, n=100) for name, times in took.items()}
    columns: dict[str, Callable[[str], float]] = {
        "PUTs/s": lambda name: len(took[name]) / seconds,
        "p50 ms": lambda name: 1000 * quantiles[name][49],
        "p95 ms": lambda name: 1000 * quantiles[name][94],
        "p99 ms": lambda name: 1000 * quantiles[name][98],
    }
    click.echo("".join(f"{title:>14}" for title in ("", *columns)))
    for name in took:
        click.echo(f"{name:>14}" + "".join(f"{column(name):14.1f}" for column in columns.values()))
    ratios = [column(OURS) / column(BARE) for column in columns.values()]
    click.echo(f"{'times':>14}" + "".join(f"{max(ratio, 1 / ratio):14.2f}" for ratio in ratios))
    look_up, request = seconds_of_a_look_up(), seconds / len(took[OURS])
    click.echo(
        f"A time-zone look-up takes {look_up * 1e6:.1f} µs, {look_up / request:.1%} of the service's time for a PUT."
    )


def seconds_of_a_look_up(times: int = 5000) -> float:
    load_zones()
    places = [
        (fields["lat"], fields["long"]) for fields in map(json.loads, (next(bodies(n, "")) for n in range(times)))
    ]
    began = time.perf_counter()
    for lat, long in places:
        zone_at(lat, long)
    return (time.perf_counter() - began) / times


@click.command()
@click.option("--clients", default=50)
@click.option("--seconds", default=5.0, help="How long each is asked in a round.")
@click.option("--rounds", default=3)
@click.option("--bare", "only_bare", is_flag=True, hidden=True)
def main(*, clients: int, seconds: float, rounds: int, only_bare: bool) -> None:
    if only_bare:
        uvloop.run(serve_bare())
        return
    with bare() as bare_address, service(DATACOSMOS_DATA_SERVER_URL="http://127.0.0.1:1") as ours:
        took = uvloop.run(compare({BARE: bare_address, OURS: ours.address}, clients, seconds, rounds))
    show(took, seconds * rounds)


if __name__ == "__main__":
    main()
