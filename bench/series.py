"""Storing, reading back and calculating: DataCosmos over HTTP, beside MongoDB used in the two plain ways.

    python bench/series.py [--largest 10000000]

One run, one machine, one MongoDB. DataCosmos is measured from outside: HTTP, JSON and the commit are in its times.
The other two are measured at the driver, without HTTP or JSON, with the same write concern:

- one document per point, {series, t, v}, with an index over series and t
- a time-series collection, with series as its metadata

MongoDB 6 knows no percentiles, so their metrics are read with a cursor and calculated by NumPy. Each time is the
median of some runs; of what takes ten seconds and more, there is one.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import numpy as np
import orjson
import pymongo
from pymongo.collection import Collection
from service import service

from datacosmos.domain.metrics import measure

STORED = (1_000, 100_000, 1_000_000)
ASKED = (1_000, 100_000, 10_000_000)
START = datetime(2024, 1, 1, tzinfo=UTC)
BATCH = 1_000_000
TITLES = ("", "DataCosmos, over HTTP", "a document per point", "ratio", "time-series collection", "ratio")


class Way(Protocol):
    """One way to keep series; a point of them comes every second from START on."""

    def store(self, name: str, values: list[float]) -> None: ...
    def append(self, name: str, first: int, values: list[float]) -> None: ...
    def read(self, name: str) -> int: ...
    def average(self, name: str, end: int) -> tuple[float, float]: ...
    def metrics(self, name: str, end: int) -> float: ...


class DataCosmos:
    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=120, headers={"Accept-Encoding": "identity"})
        self._places: dict[str, str] = {}

    def store(self, name: str, values: list[float]) -> None:
        body = {"name": name, "start": START.timestamp(), "interval": 1, "values": values}
        self._places[name] = self._post("/series", orjson.dumps(body)).headers["location"]

    def append(self, name: str, first: int, values: list[float]) -> None:
        body = {"start": START.timestamp() + first, "interval": 1, "values": values}
        self._post(f"{self._places[name]}/points", orjson.dumps(body))

    def _post(self, path: str, body: bytes) -> httpx.Response:
        return self._client.post(path, content=body).raise_for_status()

    def read(self, name: str) -> int:
        return len(self._client.get(self._places[name]).raise_for_status().content)

    def average(self, name: str, end: int) -> tuple[float, float]:
        answer = self._get(f"/api/{name}", end)
        return answer["avg"], answer["sum"]

    def metrics(self, name: str, end: int) -> float:
        return self._get(f"{self._places[name]}/metrics", end)["p95"]

    def _get(self, path: str, end: int) -> Any:
        to = START.timestamp() + end - 1
        return self._client.get(path, params={"to": to}).raise_for_status().json()


class Documents:
    def __init__(self, collection: Collection[dict[str, Any]]) -> None:
        self._collection = collection

    def store(self, name: str, values: list[float]) -> None:
        self.append(name, 0, values)

    def append(self, name: str, first: int, values: list[float]) -> None:
        self._collection.insert_many(_documents(name, first, values), ordered=False)

    def read(self, name: str) -> int:
        return len(list(self._collection.find({"series": name}, {"_id": 0, "t": 1, "v": 1}).sort("t", 1)))

    def average(self, name: str, end: int) -> tuple[float, float]:
        group = {"_id": None, "avg": {"$avg": "$v"}, "sum": {"$sum": "$v"}}
        [found] = self._collection.aggregate([{"$match": _range(name, end)}, {"$group": group}])
        return found["avg"], found["sum"]

    def metrics(self, name: str, end: int) -> float:
        found = self._collection.find(_range(name, end), {"_id": 0, "v": 1})
        return measure(np.fromiter((document["v"] for document in found), np.float64)).p95 or 0


def _documents(name: str, first: int, values: list[float]) -> Iterator[dict[str, Any]]:
    for second, value in enumerate(values, first):
        yield {"series": name, "t": START + timedelta(seconds=second), "v": value}


def _range(name: str, end: int) -> dict[str, Any]:
    return {"series": name, "t": {"$gte": START, "$lte": START + timedelta(seconds=end - 1)}}


def ways(address: str, client: pymongo.MongoClient[dict[str, Any]]) -> dict[str, Way]:
    database = client.get_database("bench", write_concern=pymongo.WriteConcern(w="majority", j=True))
    database.create_collection("series", timeseries={"timeField": "t", "metaField": "series", "granularity": "seconds"})
    database["points"].create_index({"series": 1, "t": 1})
    return {
        "ours": DataCosmos(address),
        "documents": Documents(database["points"]),
        "time series": Documents(database["series"]),
    }


def measured(act: Callable[[], object], runs: int = 5) -> float:
    """Seconds."""
    times: list[float] = []
    while len(times) < runs and sum(times) < 10:
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def show(what: str, seconds: Mapping[str, float]) -> None:
    ours = seconds["ours"]
    others = [seconds[name] for name in ("documents", "time series")]
    shown = [f"{_milliseconds(other)} | {other / ours:.1f}" for other in others]
    print(f"| {what} | {_milliseconds(ours)} | {' | '.join(shown)} |", flush=True)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def compare_storing(all_ways: Mapping[str, Way], values: list[float]) -> None:
    for count in STORED:
        part = values[:count]
        runs = {"ours": 5, "documents": 5 if count < BATCH else 1, "time series": 5 if count < BATCH else 1}
        writing: dict[str, float] = {}
        reading: dict[str, float] = {}
        for name, way in all_ways.items():
            numbers = iter(range(100))
            writing[name] = measured(lambda: way.store(f"s-{count}-{next(numbers)}", part), runs[name])  # noqa: B023
            reading[name] = measured(lambda: way.read(f"s-{count}-0"), runs[name])  # noqa: B023
        show(f"store {count:,} values", writing)
        show(f"read {count:,} values back", reading)


def compare_calculating(all_ways: Mapping[str, Way], client: pymongo.MongoClient[dict[str, Any]], largest: int) -> None:
    values = np.random.default_rng(0).normal(1e3, 1, largest)
    for way in all_ways.values():
        way.store("large", values[:BATCH].tolist())
        for first in range(BATCH, largest, BATCH):
            way.append("large", first, values[first : first + BATCH].tolist())
    client.admin.command("fsync")  # no way has to wait for what another left to be written
    for count in [count for count in ASKED if count <= largest]:
        answers = [way.average("large", count) for way in all_ways.values()]
        assert np.allclose(answers, answers[0], rtol=1e-12), answers
        seconds = {name: measured(lambda: way.average("large", count)) for name, way in all_ways.items()}  # noqa: B023
        show(f"average and sum of {count:,}", seconds)
        seconds = {name: measured(lambda: way.metrics("large", count), 3) for name, way in all_ways.items()}  # noqa: B023
        show(f"metrics of {count:,}", seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=ASKED[-1], help="points of the longest series; whole millions")
    largest = parser.parse_args().largest
    with service() as started:
        client = pymongo.MongoClient[dict[str, Any]](started.mongodb_url)
        all_ways = ways(started.address, client)
        print(f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}")
        compare_storing(all_ways, np.random.default_rng(1).normal(size=STORED[-1]).tolist())
        compare_calculating(all_ways, client, largest)


if __name__ == "__main__":
    main()
