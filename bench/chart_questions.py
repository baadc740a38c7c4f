"""What charts ask: the API over HTTP, and MongoDB at the driver for the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import httpx

BUCKETS = 500
ODD = timedelta(seconds=17.123)
"""Before which shapes end, so that both of their ends cut a minute."""


class Shape(NamedTuple):
    of: timedelta
    interval: str
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"`buckets`, {self.interval} over {self.of / timedelta(days=1):g} d, {self.zone}"


YEAR, DAY, HOUR = timedelta(days=365), timedelta(days=1), timedelta(hours=1)
SHAPES = (
    Shape(YEAR, "P1M", "Europe/Berlin"),
    Shape(YEAR, "P1W", "America/New_York"),
    Shape(YEAR, "P2D", "Europe/Berlin"),
    Shape(YEAR, "P1D", "Asia/Kolkata"),
    Shape(YEAR, "PT6H", "Asia/Kolkata"),
    Shape(YEAR, "PT1H"),
    Shape(YEAR, "PT13H37M13S"),
    Shape(30 * DAY, "PT1H27M10S"),
    Shape(30 * DAY, "7m"),
    Shape(7 * DAY, "PT20M10S"),
    Shape(7 * DAY, "90s"),
    Shape(DAY, "3m"),
    Shape(HOUR, "7s"),
    Shape(HOUR / 6, "1s"),
)
SAMPLED = (30 * DAY, 7 * DAY, 2 * DAY, DAY, HOUR)


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

    def of_shape(self, shape: Shape) -> int:
        """How many buckets."""
        query = """query($start: DateTime!, $end: DateTime!, $interval: Duration!, $zone: String!) {
          buckets(start: $start, end: $end, interval: $interval, timeZone: $zone) { start count avg min max }
        }"""
        end = self.end - ODD
        asked = {"start": (end - shape.of).isoformat(), "end": end.isoformat()}
        return len(self.ask(query, **asked, interval=shape.interval, zone=shape.zone)["buckets"])

    def drawn(self, of: timedelta) -> int:
        query = """query($start: DateTime!, $end: DateTime!) {
          sampled(start: $start, end: $end) { points { time value } }
        }"""
        end = self.end - ODD
        return len(self.ask(query, start=(end - of).isoformat(), end=end.isoformat())["sampled"]["points"])

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
