"""Charts of ten million points beside MongoDB's own grouping, and what their summaries cost the writer; `make bench`.

    .venv/bin/python bench/summaries.py [--quick] [--points 10000000] [--series 10000] [--rounds 3] [--data-dir DIR]

A series of `points` over a year, up to now, and `series` of 1,000 points each are stored as the writer stores them, and
summarised by the service's own builder. Then the API is asked over HTTP, and MongoDB at the driver for the same.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
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
from charted import LIVE, LIVE_RATE, OF_EACH, YEAR, charted
from results import keep, machine, mongodb_version, versions
from servers import token
from service import Service, service

PACKAGES = ("strawberry-graphql", "motor", "pymongo", "numpy", "uvloop")


class Asked(NamedTuple):
    """Seconds of each question, by us and by MongoDB, and the most that p95 of ours may be."""

    ours: list[float]
    bare: list[float]
    aim: float


class Charts(NamedTuple):
    asked: Mapping[str, Asked]
    shapes: Mapping[str, Sequence[float]]
    built: float


@dataclass(frozen=True, slots=True)
class Scale:
    points: int
    series: int
    rounds: int
    readings: int


# What is asked


def timed(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def measure(scale: Scale, questions: Questions) -> dict[str, Asked]:
    draw = random.Random(2)
    start, end = questions.start, questions.end
    assert questions.buckets(start, end) == scale.points
    assert questions.group(start, end) == scale.points
    some = [f"sensors/{number}" for number in draw.sample(range(scale.series), min(100, scale.series))]
    few, many = max(1, scale.rounds // 2), 20 * scale.rounds
    return {
        f"`buckets`, {BUCKETS} and more, over all": _both(
            lambda: questions.buckets(start, end), lambda: questions.group(start, end), many, few, 0.05
        ),
        "`sampled(width: 1000)` over all": _both(questions.sampled, questions.sample, many, few, 0.1),
        f"`latest` of {len(some)} series": _both(
            lambda: questions.latest(some), lambda: questions.newest(some), many, few, 0.02
        ),
        f"`seriesConnection(search:)` in {scale.series:,} names": _both(
            lambda: questions.search(f"{draw.randrange(100)}"), lambda: questions.distinct("7"), many, few, 0.02
        ),
    }


def measure_shapes(questions: Questions, rounds: int) -> dict[str, list[float]]:
    """Seconds of other intervals and ranges, whose ends are at no minute."""
    asked = {str(shape): partial(questions.of_shape, shape) for shape in SHAPES}
    asked |= {f"`sampled` of {of / timedelta(days=1):.2g} d": partial(questions.drawn, of) for of in SAMPLED}
    return {what: [timed(ask) for _ in range(10 * rounds)] for what, ask in asked.items()}


def _both(ours: Callable[[], int], bare: Callable[[], int], many: int, few: int, aim: float) -> Asked:
    ours()  # what it finds once, it knows from then on
    return Asked([timed(ours) for _ in range(many)], [timed(bare) for _ in range(few)], aim)


@contextmanager
def arriving(client: httpx.Client, rate: int) -> Generator[None]:
    """Points of now, of one sensor, so many a second, until the end of the block."""
    over = Event()

    def send() -> None:
        number, began = 0, time.monotonic()
        while not over.wait(max(0.0, began + number / rate - time.monotonic())):
            now = datetime.now(UTC).replace(tzinfo=None)
            records = [
                {"id": "live", "type": "Sensor", "content": {"temperature_f": 70, "time_of_measurement": f"{at}"}}
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


def measure_live(questions: Questions, rounds: int) -> Asked:
    """The last hour, by the minute, of a series of 100 points/s that are still being written."""
    took, bare = list[float](), list[float]()
    with arriving(questions.client, LIVE_RATE):
        time.sleep(2 if rounds == 1 else 60)
        for number in range(20 * rounds):
            now = datetime.now(UTC)
            took.append(timed(lambda now=now: questions.buckets(now - timedelta(hours=1), now, LIVE)))
            if number % 20 == 0:
                bare.append(timed(lambda now=now: questions.group(now - timedelta(hours=1), now, LIVE)))
            time.sleep(0.2)
    return Asked(took, bare, 0.05)


# What is told


def report(charts: Charts, written: Mapping[int, Written], scale: Scale) -> str:
    rows = [
        f"| {what} | {1000 * statistics.median(each.ours):,.1f} | {1000 * _p95(each.ours):,.1f} | {1000 * each.aim:g} "
        f"| {1000 * statistics.median(each.bare):,.0f} "
        f"| {statistics.median(each.bare) / statistics.median(each.ours):,.1f} |"
        for what, each in charts.asked.items()
    ]
    shapes = [
        f"| {what} | {1000 * statistics.median(took):,.1f} | {1000 * _p95(took):,.1f} |"
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

| milliseconds | DataCosmos | p95 | aim | MongoDB | times as fast |
|---|--:|--:|--:|--:|--:|
{chr(10).join(rows)}

DataCosmos is asked over HTTP; MongoDB for the same points at the driver, with `$group` over the index that has time
and value, for `latest` with `$sort` and `$group`, for names with `distinct`. The last column compares the medians.

| milliseconds, of ranges whose ends cut a minute | DataCosmos | p95 |
|---|--:|--:|
{chr(10).join(shapes)}

| series | readings/s of the writer | without summaries | ratio | µs of CPU a reading | without | ratio |
|--:|--:|--:|--:|--:|--:|--:|
{chr(10).join(writer)}

{MESSAGE:,} readings a message; medians of {scale.rounds} rounds, with and without in turns. With summaries, a builder
works in the writer's process, as in `datacosmos write`; the processor's time is that of the writer and of MongoDB.

{machine()}. MongoDB {mongodb_version()}; {versions(*PACKAGES)}.
"""


def _p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def measure_charts(scale: Scale, kept_in: Path | None) -> Charts:
    with service(kept_in=kept_in, DATACOSMOS_MAX_CONNECTIONS_PER_ADDRESS="1000") as whole:
        found = charted(whole, scale.points, scale.series)
        return Charts(*_asked(scale, whole, found.until), found.built)


def _asked(scale: Scale, whole: Service, until: datetime) -> tuple[Mapping[str, Asked], Mapping[str, Sequence[float]]]:
    headers = {"Authorization": f"Bearer {token(whole)}"}
    with (
        httpx.Client(base_url=whole.address, headers=headers, timeout=600) as client,
        pymongo.MongoClient[dict[str, Any]](whole.mongodb_url, tz_aware=True) as mongodb,
    ):
        database = mongodb["datacosmos"]
        questions = Questions(client, database["points"], database["names"], until - YEAR, until)
        live = measure_live(questions, scale.rounds)
        asked = measure(scale, questions) | {"`buckets` of the last hour, by the minute, at 100 points/s": live}
        return asked, measure_shapes(questions, scale.rounds)


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
