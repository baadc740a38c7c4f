"""Charts of ten million points beside MongoDB's own grouping, and what their summaries cost the writer; `make bench`.

    .venv/bin/python bench/summaries.py [--quick] [--points 10000000] [--series 10000] [--rounds 3] [--data-dir DIR]

A series of `points` over a year, up to now, and `series` of 1,000 points each are stored as the writer stores them, and
summarised by the service's own builder. Then the API is asked over HTTP, and MongoDB at the driver for the same.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import click
import httpx
import orjson
import pymongo
import uvloop
from chart_questions import BUCKETS, SAMPLED, SHAPES, Questions
from chart_writer import MESSAGE, Written, measure_writer
from charted import LIVE_RATE, OF_EACH, YEAR, Charted, charted
from results import keep, machine, mongodb_version, versions
from servers import token
from service import Service, service

from datacosmos.sources.sensors import series_of

PACKAGES = ("strawberry-graphql", "motor", "pymongo", "numpy", "uvloop")


class Took(NamedTuple):
    """Seconds of each question, and of the service's and MongoDB's processors for one."""

    each: list[float]
    cpu: float

    @property
    def median(self) -> float:
        return 1000 * statistics.median(self.each)

    @property
    def p95(self) -> float:
        return 1000 * statistics.quantiles(self.each, n=20)[-1]


class Asked(NamedTuple):
    """By us and by MongoDB, and the most milliseconds that p95 of ours may be."""

    ours: Took
    bare: Took
    aim: int

    @property
    def row(self) -> str:
        ours, bare = self.ours, self.bare
        seconds = f"{ours.median:,.1f} | {ours.p95:,.1f} | {self.aim} | {bare.median:,.0f}"
        cpu = f"{1000 * ours.cpu:,.1f} | {1000 * bare.cpu:,.0f} | {bare.cpu / ours.cpu:,.1f}"
        return f"{seconds} | {bare.median / ours.median:,.1f} | {cpu}"


Timing = Callable[[Callable[[], Any], int], Took]


class Charts(NamedTuple):
    asked: Mapping[str, Asked]
    shapes: Mapping[str, Took]
    built: float


@dataclass(frozen=True, slots=True)
class Scale:
    points: int
    series: int
    rounds: int
    readings: int


# What is asked


def timing(*process_ids: int) -> Timing:
    """How long something takes when it is asked so many times, after once to warm up, and these processes for it."""
    clocks = [~process << 3 | 2 for process in process_ids]  # what clock_getcpuclockid gives for them on Linux

    def time_of(ask: Callable[[], Any], times: int) -> Took:
        if times > 1:
            ask()
        each, spent = list[float](), -sum(map(time.clock_gettime, clocks))
        for _ in range(times):
            began = time.perf_counter()
            ask()
            each.append(time.perf_counter() - began)
        return Took(each if times > 1 else each * 2, (spent + sum(map(time.clock_gettime, clocks))) / times)

    return time_of


def measure(scale: Scale, questions: Questions, took: Timing) -> dict[str, Asked]:
    draw = random.Random(2)
    start, end = questions.start, questions.end
    assert questions.buckets(start, end) == scale.points
    assert questions.group(start, end) == scale.points
    some = [f"sensors/{number}" for number in draw.sample(range(scale.series), min(100, scale.series))]

    def both(ours: Callable[[], int], bare: Callable[[], int], aim: int) -> Asked:
        return Asked(took(ours, 20 * scale.rounds), took(bare, max(1, scale.rounds // 2)), aim)

    return {
        f"`buckets`, {BUCKETS} and more, over all": both(
            lambda: questions.buckets(start, end), lambda: questions.group(start, end), 50
        ),
        "`sampled(width: 1000)` over all": both(questions.sampled, questions.sample, 100),
        f"`latest` of {len(some)} series": both(lambda: questions.latest(some), lambda: questions.newest(some), 20),
        f"`seriesConnection(search:)` in {scale.series:,} names": both(
            lambda: questions.search(f"{draw.randrange(100)}"), lambda: questions.distinct("7"), 20
        ),
    }


def measure_shapes(questions: Questions, rounds: int, took: Timing) -> dict[str, Took]:
    """Other intervals and ranges, whose ends are at no minute."""
    asked = {str(shape): partial(questions.of_shape, shape) for shape in SHAPES}
    asked |= {f"`sampled` of {of / timedelta(days=1):.2g} d": partial(questions.drawn, of) for of in SAMPLED}
    return {what: took(ask, 10 * rounds) for what, ask in asked.items()}


@contextmanager
def arriving(client: httpx.Client, sensor: str, rate: int) -> Generator[None]:
    """Points of now, of one sensor, so many a second, until the end of the block."""
    over = Event()

    def send() -> None:
        number, began = 0, time.monotonic()
        while not over.wait(max(0.0, began + number / rate - time.monotonic())):
            now = datetime.now(UTC).replace(tzinfo=None)
            records = [
                {"id": sensor, "type": "Sensor", "content": {"temperature_f": 70, "time_of_measurement": f"{at}"}}
                for at in (now - timedelta(seconds=n / rate) for n in range(10))
            ]
            client.post("/sensors", content=orjson.dumps(records)).raise_for_status()
            number += len(records)

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def measure_live(questions: Questions, sensor: str, rounds: int, took: Timing) -> Asked:
    """The last hour, by the minute, of a series of 100 points/s that are still being written."""

    def last_hour(ask: Callable[[datetime, datetime, str], int], pause: float) -> int:
        time.sleep(pause)
        now = datetime.now(UTC)
        return ask(now - timedelta(hours=1), now, series_of(sensor))

    with arriving(questions.client, sensor, LIVE_RATE):
        time.sleep(2 if rounds == 1 else 60)
        ours = took(partial(last_hour, questions.buckets, 0.2), 20 * rounds)
        bare = took(partial(last_hour, questions.group, 0), rounds)
    return Asked(ours._replace(each=[each - 0.2 for each in ours.each]), bare, 50)


# What is told


def report(charts: Charts, written: Mapping[int, Written], scale: Scale) -> str:
    rows = [f"| {what} | {each.row} |" for what, each in charts.asked.items()]
    shapes = [
        f"| {what} | {took.median:,.1f} | {took.p95:,.1f} | {1000 * took.cpu:,.1f} |"
        for what, took in charts.shapes.items()
    ]
    writer = [
        f"| {n:,} | {ours.rate:,.0f} | {bare.rate:,.0f} | {ours.rate / bare.rate:.2f} "
        f"| {ours.cpu:.0f} | {bare.cpu:.0f} | {bare.cpu / ours.cpu:.2f} |"
        for n, (ours, bare) in written.items()
    ]
    return f"""# Charts

{scale.points:,} points of one series over a year, and {scale.series:,} series of {OF_EACH:,}. They were summarised in
{charts.built:,.0f} s, as after a first start with points of an earlier release.

| milliseconds | DataCosmos | p95 | aim | MongoDB | times as fast | CPU | MongoDB's | times as little |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
{chr(10).join(rows)}

DataCosmos is asked over HTTP; MongoDB for the same points at the driver, with `$group` over the index that has time
and value, for `latest` with `$sort` and `$group`, for names with `distinct`. Medians are compared.
CPU is what the service and MongoDB used for one question, and for whatever else
they did meanwhile: beside points that arrive, for storing these.

| milliseconds, of ranges whose ends cut a minute | DataCosmos | p95 | CPU |
|---|--:|--:|--:|
{chr(10).join(shapes)}

| series | readings/s of the writer | without summaries | ratio | µs of CPU a reading | without | ratio |
|--:|--:|--:|--:|--:|--:|--:|
{chr(10).join(writer)}

{MESSAGE:,} readings a message; medians of {scale.rounds} rounds, with and without in turns. With summaries, a builder
works in the writer's process, as in `datacosmos write`; the processor's time is that of the writer and of MongoDB.

{machine()}. MongoDB {mongodb_version()}; {versions(*PACKAGES)}.
"""


def measure_charts(scale: Scale, kept_in: Path | None) -> Charts:
    with service(kept_in=kept_in, DATACOSMOS_MAX_CONNECTIONS_PER_ADDRESS="1000") as whole:
        found = charted(whole, scale.points, scale.series)
        return Charts(*_asked(scale, whole, found), found.built)


def _asked(scale: Scale, whole: Service, found: Charted) -> tuple[Mapping[str, Asked], Mapping[str, Took]]:
    headers = {"Authorization": f"Bearer {token(whole)}"}
    with (
        httpx.Client(base_url=whole.address, headers=headers, timeout=600) as client,
        pymongo.MongoClient[dict[str, Any]](whole.mongodb_url, tz_aware=True) as mongodb,
    ):
        database = mongodb["datacosmos"]
        questions = Questions(client, database["points"], database["names"], found.until - YEAR, found.until)
        took = timing(whole.process_id, mongodb.admin.command("serverStatus")["pid"])
        live = measure_live(questions, found.live, scale.rounds, took)
        asked = measure(scale, questions, took) | {"`buckets` of the last hour, by the minute, at 100 points/s": live}
        return asked, measure_shapes(questions, scale.rounds, took)


@click.command()
@click.option("--quick", is_flag=True, help="A minute: few points, one round; only to see that all works.")
@click.option("--points", default=10_000_000)
@click.option("--series", default=10_000)
@click.option("--rounds", default=3)
@click.option("--readings", default=200_000, help="How many are written in a round, over each number of series.")
@click.option("--data-dir", type=Path, help="Keep what is stored here, or use what is.")
@click.option("--only", type=click.Choice(["charts", "writer"]), help="Show the figures of one part, and keep none.")
def main(
    *, quick: bool, points: int, series: int, rounds: int, readings: int, data_dir: Path | None, only: str | None
) -> None:
    """Charts, and what their summaries cost."""
    scale = Scale(200_000, 200, 1, 40_000) if quick else Scale(points, series, rounds, readings)
    charts = measure_charts(scale, data_dir) if only != "writer" else Charts({}, {}, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        written = (
            uvloop.run(measure_writer(Path(folder) / "data", scale.rounds, scale.readings)) if only != "charts" else {}
        )
    text = report(charts, written, scale)
    if only:
        click.echo(text)
    else:
        keep("summaries", text)


if __name__ == "__main__":
    main()
