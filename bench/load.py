"""A hundred users for a minute, who use every route as people and programs would; `make load`.

On the service at LOAD_URL, with the token in LOAD_TOKEN where one is set, or else on one that is started for it, with
a simulated data server. A series of ten million points is stored first. Ends with 1 where a request failed or the 95th
percentile of a route reaches the limit.
"""

import itertools
import math
import os
import random
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import gevent
import orjson
from locust import FastHttpUser, between, task
from locust.env import Environment
from locust.stats import StatsEntry
from service import Service, service

USERS, SECONDS, PER_SECOND = 100, 60, 25
LIMIT = 350  # milliseconds
LARGE, MILLION, MILLIONS = "load-large", 1_000_000, 10
START = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
POINTS = "{ pointsConnection(first: 100) { edges { node { time value tags } } pageInfo { hasNextPage endCursor } } }"
HEADERS = {"Content-Type": "application/json"} | (
    {"Authorization": f"Bearer {os.environ['LOAD_TOKEN']}"} if "LOAD_TOKEN" in os.environ else {}
)
numbers = itertools.count()


def wave(count: int) -> list[float]:
    return [round(10 * math.sin(n / 24 * math.tau) + random.gauss(0, 1), 3) for n in range(count)]


class Person(FastHttpUser):
    """Has a few series, appends to them, looks at them, and walks about with a phone; pauses a second in between."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.number = next(numbers)
        self.lengths: dict[str, int] = {}
        self.ticks = itertools.count()
        self.store()

    def on_stop(self) -> None:
        for place in self.lengths:
            self.client.delete(place, headers=HEADERS, name="(cleaning up)")

    def place(self) -> str:
        return random.choice(list(self.lengths))

    def send(self, method: str, path: str, name: str, body: object = None, **headers: str) -> Any:
        data = None if body is None else orjson.dumps(body)
        return self.client.request(method, path, data=data, headers=HEADERS | headers, name=name)

    def ask(self, path: str, name: str, **headers: str) -> None:
        self.send("GET", path, name, **headers)

    @task(3)
    def store(self) -> None:
        body = {"unit": "m/s", "start": START, "interval": 3600, "values": wave(1000)}
        answer = self.send("POST", "/series", "POST /series (1,000 values)", body)
        if answer.status_code == 201:
            self.lengths[answer.headers["location"]] = 1000

    @task(6)
    def append(self) -> None:
        place = self.place()
        body = {"start": START + self.lengths[place] * 3600, "interval": 3600, "values": wave(100)}
        self.lengths[place] += 100
        self.send("POST", f"{place}/points", "POST /series/{id}/points (100 values)", body)

    @task(3)
    def read(self) -> None:
        self.ask(self.place(), "GET /series/{id}")

    @task(1)
    def read_csv(self) -> None:
        self.ask(self.place(), "GET /series/{id} (CSV)", Accept="text/csv")

    @task(2)
    def look(self) -> None:
        self.ask("/series?limit=20", "GET /series")

    @task(1)
    def count(self) -> None:
        self.ask("/series/count", "GET /series/count")

    @task(3)
    def metrics(self) -> None:
        self.ask(f"{self.place()}/metrics", "GET /series/{id}/metrics")

    @task(1)
    def forecast(self) -> None:
        self.ask(f"{self.place()}/forecast?horizon=24&season_length=24&level=95", "GET /series/{id}/forecast")

    @task(2)
    def delete(self) -> None:
        if len(self.lengths) > 1:
            place = self.place()
            del self.lengths[place]
            self.send("DELETE", place, "DELETE /series/{id}")

    @task(10)
    def push(self) -> None:
        now = time.time()
        points = [
            {"name": f"load-{(self.number + n) % 20}", "t": now + n / 1000, "v": value}
            for n, value in enumerate(wave(100))
        ]
        self.send("POST", "/api", "POST /api (100 points)", points)

    @task(10)
    def average(self) -> None:
        first, last = sorted(random.randrange(MILLIONS * MILLION) for _ in range(2))
        self.ask(f"/api/{LARGE}?from={START + first}&to={START + last}", "GET /api/{name} (of 10 million)")

    @task(8)
    def walk(self) -> None:
        moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=self.number * 86400 + next(self.ticks))
        body = {
            "timestamp": moment.strftime("%Y-%m-%d %H:%M:%S"),
            "lat": 40.7 + random.random() / 100,
            "long": -73.9,
            "accuracy": 11.3,
            "speed": 1.4,
            "user_id": f"load-{self.number}",
        }
        self.send("PUT", "/location", "PUT /location", body)

    @task(4)
    def sense(self) -> None:
        reading = {"temperature_f": random.randrange(60, 100), "time_of_measurement": f"{datetime.now(UTC):%FT%T}"}
        body = {"id": f"load-{self.number}", "type": "Sensor", "content": reading}
        self.send("POST", "/sensors", "POST /sensors", body)

    @task(4)
    def query(self) -> None:
        self.send("POST", "/graphql", "POST /graphql (100 points)", {"query": POINTS})

    @task(2)
    def export(self) -> None:
        recent = datetime.now(UTC) - timedelta(minutes=1)
        self.ask(f"/points?start={recent:%FT%TZ}", "GET /points (the last minute)")

    @task(1)
    def health(self) -> None:
        self.ask("/health", "GET /health")


def store_large(environment: Environment) -> str:
    """A series of ten million points, and where it is; the forecasts are warm when it returns."""
    person = Person(environment)
    values = wave(MILLION)
    body: dict[str, Any] = {"start": START, "interval": 1, "values": values}
    answer = person.send("POST", "/series", LARGE, body | {"name": LARGE})
    answer.raise_for_status()
    place = answer.headers["location"]
    for million in range(1, MILLIONS):
        body["start"] = START + million * MILLION
        person.send("POST", f"{place}/points", LARGE, body).raise_for_status()
    person.send("GET", f"{place}/forecast", LARGE).raise_for_status()
    return place


def run(address: str) -> list[StatsEntry]:
    """The figures of each route, without those of the first seconds, in which the users arrive."""
    Person.host = address
    environment = Environment(user_classes=[Person])
    large = store_large(environment)
    runner = environment.create_local_runner()
    runner.start(USERS, PER_SECOND)
    gevent.sleep(USERS / PER_SECOND + 2)
    environment.stats.reset_all()
    gevent.sleep(SECONDS)
    entries = [
        entry for entry in environment.stats.entries.values() if entry.num_requests and not entry.name.startswith("(")
    ]
    figures = sorted(entries, key=lambda entry: entry.name.split(" ", 1)[::-1])
    report(figures)
    for error in environment.stats.errors.values():
        print(f"{error.occurrences} times {error.name}: {error.error}")
    runner.quit()
    Person(environment).client.delete(large, headers=HEADERS, name=LARGE)
    return figures


def report(figures: list[StatsEntry]) -> None:
    width = max(len(entry.name) for entry in figures)
    print(f"{'milliseconds':{width}}  requests    p50    p95    p99  errors")
    for entry in figures:
        percentiles = (entry.get_response_time_percentile(share) for share in (0.5, 0.95, 0.99))
        shown = "".join(f"{milliseconds:7}" for milliseconds in percentiles)
        print(f"{entry.name:{width}}  {entry.num_requests:8}{shown}  {entry.num_failures:6}")


def main() -> int:
    given = os.environ.get("LOAD_URL")
    with nullcontext(Service(given)) if given else service("--demo") as target:
        figures = run(target.address)
    slow = [entry.name for entry in figures if entry.get_response_time_percentile(0.95) >= LIMIT]
    failed = [entry.name for entry in figures if entry.num_failures]
    print(f"p95 of {LIMIT} ms or more: {', '.join(slow) or 'none'}; failures: {', '.join(failed) or 'none'}")
    return 1 if slow or failed else 0


if __name__ == "__main__":
    sys.exit(main())
