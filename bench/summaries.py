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
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import click
import httpx
import orjson
import pymongo
import uvloop
from chart_writer import MESSAGE, Written, measure_writer
from charted import LIVE, LIVE_RATE, OF_EACH, YEAR, charted
from results import keep, machine, mongodb_version, versions
from servers import token
from service import Service, service

BUCKETS = 500
PACKAGES = ("strawberry-graphql", "motor", "pymongo", "numpy", "uvloop")


class Asked(NamedTuple):
    """Seconds of each question, by us and by MongoDB, and the most that p95 of ours may be."""

    ours: list[float]
    bare: list[float]
    aim: float


@dataclass(frozen=True, slots=True)
class Scale:
    points: int
    series: int
    rounds: int
    readings: int


# What is asked


@dataclass(frozen=True, slots=True)
class Questions:
    client: httpx.Client
    points: Any
    names: Any
    start: datetime
    end: datetime

    def ask(self, query: str, **variables: Any) -> Any:
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def buckets(self, start: datetime, end: datetime, series: str = "datacosmos") -> int:
        query = """query($series: String!, $start: DateTime!, $end: DateTime!, $interval: Duration!) {
          buckets(series: $series, start: $start, end: $end, interval: $interval) { start count avg min max }
        }"""
        minutes = _step(start, end) // timedelta(minutes=1)
        asked = {"start": start.isoformat(), "end": end.isoformat(), "interval": f"PT{minutes}M", "series": series}
        return sum(bucket["count"] for bucket in self.ask(query, **asked)["buckets"])

    def group(self, start: datetime, end: datetime, series: str = "datacosmos") -> int:
        step = _step(start, end) // timedelta(milliseconds=1)
        since = {"$subtract": ["$time", start]}
        stages = [
            {"$match": _accepted(series) | {"time": {"$gte": start, "$lte": end}}},
            {
                "$group": {
                    "_id": {"$subtract": [since, {"$mod": [since, step]}]},
                    **{name: {f"${name}": "$value"} for name in ("avg", "min", "max")},
                    "count": {"$sum": 1},
                }
            },
        ]
        return sum(each["count"] for each in self.points.aggregate(stages, hint="range"))

    def sampled(self) -> int:
        return len(self.ask("{ sampled(width: 1000) { points { time value } } }")["sampled"]["points"])

    def sample(self) -> int:
        """M4 in MongoDB's terms: of each of 1,000 spans the first, last, least and greatest."""
        step = (self.end - self.start) / 1000 // timedelta(milliseconds=1)
        since = {"$subtract": ["$time", self.start]}
        both = {"t": "$time", "v": "$value"}
        least = {"$min": {"v": "$value", "t": "$time"}}
        stages = [
            {"$match": _accepted("datacosmos")},
            {
                "$group": {
                    "_id": {"$subtract": [since, {"$mod": [since, step]}]},
                    "first": {"$min": both},
                    "last": {"$max": both},
                    "min": least,
                    "max": {"$max": {"v": "$value", "t": "$time"}},
                }
            },
        ]
        return len(list(self.points.aggregate(stages, hint="range")))

    def latest(self, series: Sequence[str]) -> int:
        query = "query($series: [String!]!) { latest(series: $series) { series time value } }"
        return len(self.ask(query, series=series)["latest"])

    def newest(self, series: Sequence[str]) -> int:
        """As MongoDB's documentation has it: sorted, and the first of each group."""
        stages = [
            {"$match": _accepted({"$in": list(series)})},
            {"$sort": {"series": -1, "time": -1}},
            {"$group": {"_id": "$series", "time": {"$first": "$time"}, "value": {"$first": "$value"}}},
        ]
        return len(list(self.points.aggregate(stages)))

    def search(self, part: str) -> int:
        query = "query($search: String!) { seriesConnection(search: $search) { totalCount edges { node { name } } } }"
        return len(self.ask(query, search=part)["seriesConnection"]["edges"])

    def distinct(self, part: str) -> int:
        """What there is without a list of names."""
        return sum(part in name for name in self.points.distinct("series"))


def _step(start: datetime, end: datetime) -> timedelta:
    """Of so many buckets, but whole minutes, or, beyond an hour, whole hours, as a page would choose it."""
    of = timedelta(hours=1) if (end - start) / BUCKETS > timedelta(hours=1) else timedelta(minutes=1)
    return max(1, (end - start) // BUCKETS // of) * of


def _accepted(series: Any) -> dict[str, Any]:
    return {"series": series, "status": "accepted"}


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


def report(asked: Mapping[str, Asked], written: Mapping[int, Written], scale: Scale, built: float) -> str:
    rows = [
        f"| {what} | {1000 * statistics.median(each.ours):,.1f} | {1000 * _p95(each.ours):,.1f} | {1000 * each.aim:g} "
        f"| {1000 * statistics.median(each.bare):,.0f} "
        f"| {statistics.median(each.bare) / statistics.median(each.ours):,.0f} |"
        for what, each in asked.items()
    ]
    writer = [
        f"| {n:,} | {ours.rate:,.0f} | {bare.rate:,.0f} | {ours.rate / bare.rate:.2f} "
        f"| {ours.cpu:.0f} | {bare.cpu:.0f} | {bare.cpu / ours.cpu:.2f} |"
        for n, (ours, bare) in written.items()
    ]
    return f"""# Charts

{scale.points:,} points of one series over a year, and {scale.series:,} series of {OF_EACH:,}. They were summarised in
{built:,.0f} s.

| milliseconds | DataCosmos | p95 | aim | MongoDB | times as fast |
|---|--:|--:|--:|--:|--:|
{chr(10).join(rows)}

DataCosmos is asked over HTTP; MongoDB for the same points at the driver, with `$group` over the index that has time
and value, for `latest` with `$sort` and `$group`, for names with `distinct`. The last column compares the medians.

| series | readings/s of the writer | without summaries | ratio | µs of CPU a reading | without | ratio |
|--:|--:|--:|--:|--:|--:|--:|
{chr(10).join(writer)}

{MESSAGE:,} readings a message; medians of {scale.rounds} rounds, with and without in turns. With summaries, a builder
works in the writer's process, as in `datacosmos write`; the processor's time is that of the writer and of MongoDB.

{machine()}. MongoDB {mongodb_version()}; {versions(*PACKAGES)}.
"""


def _p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def measure_charts(scale: Scale, kept_in: Path | None) -> tuple[dict[str, Asked], float]:
    with service(kept_in=kept_in, DATACOSMOS_MAX_CONNECTIONS_PER_ADDRESS="1000") as whole:
        found = charted(whole, scale.points, scale.series)
        return _asked(scale, whole, found.until), found.built


def _asked(scale: Scale, whole: Service, until: datetime) -> dict[str, Asked]:
    headers = {"Authorization": f"Bearer {token(whole)}"}
    with (
        httpx.Client(base_url=whole.address, headers=headers, timeout=600) as client,
        pymongo.MongoClient[dict[str, Any]](whole.mongodb_url, tz_aware=True) as mongodb,
    ):
        database = mongodb["datacosmos"]
        questions = Questions(client, database["points"], database["names"], until - YEAR, until)
        return measure(scale, questions) | {
            "`buckets` of the last hour, by the minute, at 100 points/s": measure_live(questions, scale.rounds)
        }


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
    asked, built = measure_charts(scale, data_dir) if only != "writer" else ({}, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        written = (
            uvloop.run(measure_writer(Path(folder) / "data", scale.rounds, scale.readings)) if only != "charts" else {}
        )
    text = report(asked, written, scale, built)
    if only:
        click.echo(text)
    else:
        keep("summaries", text)


if __name__ == "__main__":
    main()
