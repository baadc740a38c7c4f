"""A stand-in for phones: locations made up, as the rows of a CSV file."""

import random
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

Row = dict[str, str]
FIELDS = ("timestamp", "lat", "long", "accuracy", "speed", "user_id")
DUPLICATE_SHARE, MALFORMED_SHARE = 0.5, 0.02
WALKERS = 40
CITIES = {
    "America/New_York": (40.701, -73.916),
    "Europe/Berlin": (52.52, 13.405),
    "Asia/Kolkata": (22.572, 88.364),
    "Etc/GMT+3": (30.0, -45.0),  # at sea
}
START = datetime(2017, 1, 1, 13, 0)  # noqa: DTZ001  local time, wherever that is
WRONG = [
    *({"lat": text} for text in ("", "91", "north", "1e999", "nan", "40,7", "1_0")),
    *({"accuracy": "-1"}, {"speed": "-2"}, {"user_id": ""}, {"timestamp": "2017-02-30 13:05:12"}, {"timestamp": "now"}),
]


def generate(count: int, seed: int | None) -> Iterator[Row]:
    """Rows for a CSV file, the same for the same seed: walkers; half are duplicates, one in fifty is malformed."""
    walkers = Walkers(random.Random(seed))  # noqa: S311
    for _ in range(count):
        yield walkers.next()


class Walkers:
    """People who walk about some cities, with phones that send much twice."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._times = [START] * WALKERS
        self._recent: deque[Row] = deque(maxlen=5000)

    def next(self) -> Row:
        if self._draw.random() < MALFORMED_SHARE:
            return self._fresh() | self._draw.choice(WRONG)
        if self._recent and self._draw.random() < DUPLICATE_SHARE:
            again = self._draw.choice(self._recent)
            return again | ({"accuracy": self._accuracy()} if self._draw.random() < 0.5 else {})
        self._recent.append(self._fresh())
        return self._recent[-1]

    def _fresh(self) -> Row:
        """A later time at each call for a walker, so that none repeats itself unasked."""
        walker = self._draw.randrange(WALKERS)
        self._times[walker] += timedelta(milliseconds=self._draw.randrange(100, 2000))
        lat, long = list(CITIES.values())[walker % len(CITIES)]
        return {
            "timestamp": self._times[walker].isoformat(self._draw.choice(" T"), "milliseconds"),
            "lat": str(round(lat + self._draw.uniform(-0.01, 0.01), 7)),
            "long": str(round(long + self._draw.uniform(-0.01, 0.01), 7)),
            "accuracy": self._accuracy(),
            "speed": "-1" if self._draw.random() < 0.1 else str(round(self._draw.uniform(0, 3), 7)),
            "user_id": f"walker-{walker}",
        }

    def _accuracy(self) -> str:
        return str(round(self._draw.uniform(3, 60), 7))
