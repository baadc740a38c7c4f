"""Changes: how soon many subscribers have a point, whether one keeps up with a flood, and what ingest pays for it.

    .venv/bin/python bench/changes.py [--quick] [--subscribers 500] [--rate 100] [--seconds 20] [--flood 20000]

On one MongoDB and one NATS, beside one `datacosmos api`. A point is stored once MongoDB has confirmed it, and received
once its event is whole at the subscriber. The subscribers are bare sockets in the measuring process.
"""

import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import click
import psutil
import uvloop
from changes_listeners import Listener, listening
from changes_load import flood, paced
from deliveries import POLLED, STREAMED
from ingest import Engines, engines, write
from results import keep, machine, mongodb_version, versions
from service import started

from datacosmos.engines import running_engines

PATIENCE = 120  # seconds
PARTS = ("many", "one", "ingest")
PACKAGES = ("pymongo", "starlette", "uvicorn", "uvloop", "orjson")
Rows = dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """Points a second: `rate` for the subscribers, `most` for a single one."""

    subscribers: int
    rate: float
    seconds: float
    most: float
    readings: int


@dataclass(frozen=True, slots=True)
class Api:
    address: str
    process: psutil.Process

    @property
    def memory(self) -> int:
        return self.process.memory_info().rss

    async def share(self, work: Awaitable[object]) -> float:
        """The part of a core that it takes meanwhile."""
        began, before = time.perf_counter(), self._seconds
        await work
        return (self._seconds - before) / (time.perf_counter() - began)

    @property
    def _seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


async def many(found: Engines, api: Api, subscribers: int, rate: float, seconds: float) -> Rows:
    points = (await found.clear()).points
    stored: dict[bytes, float] = {}

    async def store() -> None:
        stored.update(await paced(points, rate, seconds))

    async with listening(api.address) as first:
        alone = await api.share(paced(points, rate, seconds / 2))
        memory = api.memory
        async with listening(api.address, subscribers - 1) as others:
            await paced(points, rate, 2)
            share = await api.share(store())
            await until_received(everyone := [*first, *others], stored.keys())
            grown = (api.memory - memory) / len(others)
    late = [max(0, at - stored[id_]) for one in everyone for id_, at in one.received if id_ in stored]
    quantiles = [1000 * seconds for seconds in statistics.quantiles(late, n=100)]
    return {
        f"{subscribers} subscribers, {rate:g} points/s: stored to received, p50": f"{quantiles[49]:.0f} ms",
        "p95 (limit 100 ms)": f"{quantiles[94]:.0f} ms",
        "p99": f"{quantiles[98]:.0f} ms",
        "memory of the API, a subscriber (limit 100 kB)": f"{grown / 1000:.1f} kB",
        "the API's part of a core (limit 30 %)": f"{share:.0%}",
        "with one subscriber": f"{alone:.0%}",
    }


async def until_received(listeners: Sequence[Listener], ids: AbstractSet[bytes]) -> None:
    async with asyncio.timeout(PATIENCE):
        for listener in listeners:
            while not ids <= {each for each, _ in listener.received}:  # noqa: ASYNC110  data comes in callbacks
                await asyncio.sleep(0.05)


async def until_all(listener: Listener, count: int) -> None:
    """Or until the stream ends."""
    async with asyncio.timeout(PATIENCE):
        while len(listener.received) < count and not listener.ended.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def one(found: Engines, api: Api, mongodb_url: str, rate: float, seconds: float) -> Rows:
    """A subscriber that comes back behind its cursor whenever it is told that it is too slow."""
    await found.clear()
    count = round(rate * seconds)
    received, lagging, last, cursor = Counter[bytes](), 0, 0.0, None
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        storing: asyncio.Future[tuple[float, float]] | None = None
        while received.total() < count:
            async with listening(api.address, asked={"after": cursor} if cursor else {}) as [listener]:
                loop = asyncio.get_running_loop()
                storing = storing or loop.run_in_executor(pool, flood, mongodb_url, count, rate)
                await until_all(listener, count - received.total())
                received.update(id_ for id_, _ in listener.received)
                cursor, last = listener.cursor, listener.received[-1][1]
                lagging += listener.error == "LAGGING"
        assert storing is not None
        took, ended = await storing
    twice = received.total() - len(received)
    return {
        f"1 subscriber, {count:,} points as fast as they can be stored, up to {rate:,.0f}/s": f"{count / took:,.0f}/s",
        "received once, missing, twice": f"{len(received):,}, {count - len(received):,}, {twice:,}",
        "the last one came after it was stored": f"{last - ended:.1f} s",
        "told LAGGING, and went on behind the cursor": f"{lagging} times",
    }


async def ingest(found: Engines, api: Api, readings: int, rounds: int) -> Rows:
    """The writer beside nobody, and beside some who listen."""
    rows: Rows = {}
    for kind, count in ((POLLED, readings // 10), (STREAMED, readings)):
        rates: dict[int, list[float]] = {0: [], 1: [], 50: []}
        for _ in range(rounds):
            for listeners, measured in rates.items():
                beside = listening(api.address, listeners) if listeners else nullcontext()
                measured.append(await write(found, kind, count, beside))
        medians = [statistics.median(measured) for measured in rates.values()]
        told = ", ".join(f"{median:,.0f}/s" for median in medians)
        rows[f"the writer, {kind.title}: beside 0, 1, 50 listeners"] = f"{told} ({medians[1] / medians[0]:.0%})"
    return rows


@asynccontextmanager
async def programs(folder: Path) -> AsyncGenerator[tuple[Engines, Api]]:
    async with engines(folder / "data") as found:
        secret = {"DATACOSMOS_JWT_SECRET": secrets.token_urlsafe(48)}
        with started((sys.executable, "-m", "datacosmos", "api", "--port", "0"), folder, secret) as (
            address,
            process_id,
        ):
            yield found, Api(address, psutil.Process(process_id))


async def measure(folder: Path, parts: Sequence[str], plan: Plan) -> Rows:
    rows: Rows = {}
    async with programs(folder) as (found, api):
        mongodb_url = running_engines(folder / "data").mongodb_url or ""
        for part in parts:
            click.echo(f"{part}, beside the process {api.process.pid}", err=True)
            if part == "many":
                rows |= await many(found, api, plan.subscribers, plan.rate, plan.seconds)
            elif part == "one":
                rows |= await one(found, api, mongodb_url, plan.most, plan.seconds / 2)
            else:
                rows |= await ingest(found, api, plan.readings, rounds=3)
    return rows


def report(rows: Rows) -> str:
    lines = "\n".join(f"| {what} | {figure} |" for what, figure in rows.items())
    return f"""# Changes

| | |
|---|--:|
{lines}

{machine()}. MongoDB {mongodb_version()}; {versions(*PACKAGES)}.
"""


@click.command()
@click.option("--quick", is_flag=True, help="Only to see that all works.")
@click.option("--subscribers", default=500)
@click.option("--rate", default=100.0, help="Points a second that they get.")
@click.option("--seconds", default=20.0)
@click.option("--flood", "most", default=20_000.0, help="Points a second that a single one gets.")
@click.option("--readings", default=100_000, help="How many the writer writes.")
@click.option("--only", type=click.Choice(PARTS), help="This part alone, which is only shown.")
def main(
    *, quick: bool, only: str | None, subscribers: int, rate: float, seconds: float, most: float, readings: int
) -> None:
    """Subscribers of changes, and what they cost."""
    plan = Plan(subscribers, rate, seconds, most, readings)
    if quick:
        plan = replace(plan, subscribers=50, seconds=3, readings=20_000)
    with tempfile.TemporaryDirectory() as folder:
        rows = uvloop.run(measure(Path(folder), (only,) if only else PARTS, plan))
    if only:
        print(report(rows))
    else:
        keep("changes", report(rows))


if __name__ == "__main__":
    main()
