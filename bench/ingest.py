"""The writer beside bare insert_many, and the poller beside a bare loop of GET and publish; `make bench`.

    .venv/bin/python bench/ingest.py [--quick] [--rounds 3] [--readings 200000] [--seconds 5]

On one MongoDB and one NATS, in turns, round by round. The writer empties a filled queue; insert_many gets the same
documents, made beforehand, in unordered batches of which eight are under way, with the same indexes and the same
write concern. The poller drains the simulated data server, which always has a point.
"""

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx
import nats
import uvloop
from deliveries import FEW, POLLED, REPEATED, STREAMED, Kind, deliveries
from matplotlib.figure import Figure
from nats.js import JetStreamContext
from pymongo.errors import BulkWriteError
from results import bars, keep, machine, mongodb_version, versions
from service import ANY, started

from datacosmos.engines import embedded_engines
from datacosmos.pipeline import queue as queues
from datacosmos.pipeline.poller import polling
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.writer import Writer
from datacosmos.settings import Settings
from datacosmos.sources.registry import configured
from datacosmos.store.mongo import connection
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.documents import to_document
from datacosmos.store.stores import Stores

BATCH, UNDER_WAY = 1_000, 8
DRAIN = "data server, drained"
SHOWN = ("DataCosmos", "bare")
LOOK = 0.02  # seconds
PACKAGES = ("motor", "pymongo", "nats-py", "httpx", "msgspec", "uvloop")


class Figures(NamedTuple):
    """Readings a second."""

    ours: float
    bare: float


@dataclass(frozen=True, slots=True)
class Engines:
    database: Database
    queue: Queue
    jetstream: JetStreamContext
    settings: Settings

    async def clear(self) -> Stores:
        """Nothing stored, nothing queued, and the indexes made."""
        await self.jetstream.purge_stream(self.settings.nats_stream)
        for name in ("points", "receipts", "marks", "names"):
            await self.database.drop_collection(name)
        stores = Stores.of(self.database)
        await stores.prepare()
        await self.database.client.admin.command("fsync")
        return stores

    async def received(self) -> int:
        return (await self.jetstream.stream_info(self.settings.nats_stream)).state.last_seq

    async def waiting(self) -> int:
        return (await self.jetstream.stream_info(self.settings.nats_stream)).state.messages


@asynccontextmanager
async def engines(folder: Path) -> AsyncGenerator[Engines]:
    settings = Settings(data_dir=folder, nats_timeout=timedelta(minutes=1))
    async with AsyncExitStack() as parts:
        found = await parts.enter_async_context(embedded_engines(folder))
        assert found.mongodb_url is not None
        assert found.nats_url is not None
        connecting = connection.connect(found.mongodb_url, settings.mongodb_database, settings.mongodb_timeout)
        database = await parts.enter_async_context(connecting)
        joining = queues.connect(
            found.nats_url,
            stream=settings.nats_stream,
            max_bytes=settings.queue_max_bytes,
            timeout=settings.nats_timeout,
        )
        queue = await parts.enter_async_context(joining)
        await queue.prepare()
        client = await nats.connect(found.nats_url)
        parts.push_async_callback(client.close)
        yield Engines(database, queue, client.jetstream(), settings)


async def write(
    found: Engines,
    kind: Kind,
    readings: int,
    beside: AbstractAsyncContextManager[object] | None = None,
    change: Callable[[Stores], Stores] = lambda stores: stores,
) -> float:
    """Readings a second of the writer, from a full queue to an empty one, beside something that needs what is clear.

    It gets the stores after a `change`.
    """
    stores = change(await found.clear())
    await publish_all(found.queue, deliveries(kind, readings))
    writer = Writer(found.settings, queue=found.queue, stores=stores)
    async with beside or nullcontext(), asyncio.TaskGroup() as tasks:  # a writer that fails ends the waiting, too
        began = time.perf_counter()
        tasks.create_task(writer.run())
        while await found.waiting():  # noqa: ASYNC110  only the queue itself can tell
            await asyncio.sleep(LOOK)
        seconds = time.perf_counter() - began
        writer.stop()
    assert await found.database["points"].estimated_document_count() == readings
    return readings / seconds


async def publish_all(queue: Queue, made: Iterator[Any]) -> None:
    async def publish() -> None:
        for delivery in made:
            await queue.publish(delivery)

    await asyncio.gather(*(publish() for _ in range(20)))


async def insert(found: Engines, kind: Kind, readings: int) -> float:
    """Documents a second of insert_many; those that the unique index refuses count, too."""
    await found.clear()
    documents = (to_document(point) for delivery in deliveries(kind, readings) for point in delivery.points)
    batches = list(iter(lambda: list(islice(documents, BATCH)), []))
    gc.freeze()
    rest = iter(batches)

    async def work() -> None:
        for batch in rest:
            with suppress(BulkWriteError):
                await found.database["points"].insert_many(batch, ordered=False)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(UNDER_WAY)))
    seconds = time.perf_counter() - began
    gc.unfreeze()
    return readings / seconds


async def drain(found: Engines, url: str, seconds: float) -> float:
    """Readings a second of the poller."""
    update = {"data_server_url": url, "poll_limit": sys.maxsize, "stop_grace": timedelta(milliseconds=1)}
    settings = found.settings.model_copy(update=update)
    async with polling(configured(settings), found.queue, grace=settings.stop_grace):
        return await _rate(found, seconds)


async def get_and_publish(found: Engines, url: str, seconds: float) -> float:
    """Readings a second of the least that does the same."""

    stop = asyncio.Event()  # a cancelled publish may go on all the same: so does asyncio.wait_for in Python 3.11

    async def loop() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            while not stop.is_set():
                response = await client.get(url)
                await found.jetstream.publish("readings.bare.1", response.content)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop())
        rate = await _rate(found, seconds)
        stop.set()
    return rate


async def _rate(found: Engines, seconds: float) -> float:
    await asyncio.sleep(0.5)
    began, before = time.perf_counter(), await found.received()
    await asyncio.sleep(seconds)
    return (await found.received() - before) / (time.perf_counter() - began)


async def measure(folder: Path, rounds: int, readings: int, seconds: float) -> dict[str, Figures]:
    """The medians of all rounds."""
    measured: dict[str, list[Figures]] = defaultdict(list)
    simulator = [sys.executable, "-m", "datacosmos", "simulate", "data-server", "--port", "0", "--rate", "1e6"]
    async with engines(folder / "data") as found:
        with started(simulator, folder, {}, prints=ANY) as (url, _):
            for number in range(rounds):
                click.echo(f"round {number + 1} of {rounds}", err=True)
                for kind in (POLLED, FEW, STREAMED, REPEATED):
                    count = readings // 10 if kind is POLLED else readings
                    figures = Figures(await write(found, kind, count), await insert(found, kind, count))
                    measured[f"writer: {kind.title}"].append(figures)
                await found.clear()
                bare, ours = await get_and_publish(found, url, seconds), await drain(found, url, seconds)
                measured[f"poller: {DRAIN}"].append(Figures(ours, bare))
    return {what: _median(figures) for what, figures in measured.items()}


def _median(figures: Sequence[Figures]) -> Figures:
    ours, bare = zip(*figures, strict=True)
    return Figures(statistics.median(ours), statistics.median(bare))


def report(measured: dict[str, Figures], rounds: int) -> str:
    rows = [f"| {what} | {ours:,.0f} | {bare:,.0f} | {ours / bare:.2f} |" for what, (ours, bare) in measured.items()]
    return f"""# Ingest

| readings a second | DataCosmos | bare | ratio |
|---|--:|--:|--:|
{chr(10).join(rows)}

Medians of {rounds} rounds. Bare is, beside the writer, `insert_many` of the same documents in unordered batches of
{BATCH:,}, {UNDER_WAY} under way, and beside the poller a loop of httpx GET and JetStream publish.

{machine()}. MongoDB {mongodb_version()}; {versions(*PACKAGES)}.
"""


def plot(measured: dict[str, Figures]) -> Figure:
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=(2, 1))
    for axes, part in zip(panels, ("writer", "poller"), strict=True):
        rows = {what.split(": ")[1]: figures for what, figures in measured.items() if what.startswith(part)}
        bars(axes, {label: {what: figures[n] for what, figures in rows.items()} for n, label in enumerate(SHOWN)})
        axes.set_title(f"{part}, readings/s")
        axes.invert_yaxis()
    panels[0].legend(frameon=False)
    return figure


@click.command()
@click.option("--quick", is_flag=True, help="Half a minute: one round with fewer readings; only to see that all works.")
@click.option("--rounds", default=3)
@click.option("--readings", default=200_000, help="How many are written in a round; of the data server's a tenth.")
@click.option("--seconds", default=5.0, help="How long the poller is measured in a round.")
def main(*, quick: bool, rounds: int, readings: int, seconds: float) -> None:
    """Ingest beside the least that does the same."""
    if quick:
        rounds, readings, seconds = 1, 40_000, 2
    with tempfile.TemporaryDirectory() as folder:
        measured = uvloop.run(measure(Path(folder), rounds, readings, seconds))
    keep("ingest", report(measured, rounds), plot(measured))


if __name__ == "__main__":
    main()
