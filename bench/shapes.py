"""What the servers are asked: lists of several kinds, each question for another range."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import orjson
from stored import DISCARDS, MINUTES, READINGS, START

FORMS = ("variables", "literals")
CLIENTS = (1, 8)
ALL_FIELDS = "id series time value tags receivedAt"


@dataclass(frozen=True, slots=True)
class Shape:
    """A question; `field` has {range} where its times stand, which are `step` seconds apart over `stored` rows.

    `ranges` is how many different ones it asks for, `guarded` whether it needs a token, `largest` its longest list.
    """

    name: str
    field: str
    stored: int = 0  # as many as there are points
    step: int = 1
    ranges: int = 1
    guarded: bool = False
    largest: int = 100_000

    @property
    def sizes(self) -> tuple[int, int, int]:
        return (10, 1_000, self.largest)


TIME_VALUE = Shape("time value", "points({range}) {{ time value }}")
OF_POINTS = (
    TIME_VALUE,
    Shape("time value tags", "points({range}) {{ time value tags }}"),
    Shape("all fields", f"points({{range}}) {{{{ {ALL_FIELDS} }}}}"),
    Shape(
        "connection",
        "pointsConnection({range}, first: {size}) {{ edges {{ cursor node {{ time value }} }} "
        "pageInfo {{ hasNextPage endCursor }} }}",
    ),
    Shape("two aliases", "a: points({range}) {{ time value }} b: points({other}) {{ time value }}", ranges=2),
)
OF_OTHERS = (
    Shape(
        "discards",
        "discards({range}) {{ id receivedAt time value reason reasons faults }}",
        stored=DISCARDS,
        guarded=True,
        largest=10_000,
    ),
    Shape(
        "sensorReadings",
        'sensorReadings(sensorId: "s1", {range}) {{ time temperatureC temperatureF }}',
        stored=READINGS,
        guarded=True,
    ),
    Shape(
        "locations",
        'locations(userId: "ada", {range}) {{ minute lat long accuracy speed count duplicates }}',
        stored=MINUTES,
        step=60,
        guarded=True,
    ),
)
SHAPES = (*OF_POINTS, *OF_OTHERS)


class Case(NamedTuple):
    shape: Shape
    size: int  # rows of a list
    form: str
    clients: int

    def bodies(self, points: int) -> Iterator[bytes]:
        """Without end, the same ones for each server; as many points are stored."""
        draw, shape = random.Random(self.size), self.shape
        while True:
            ends: dict[str, str] = {}
            for number in range(shape.ranges):
                first = draw.randrange((shape.stored or points) - self.size + 1)
                for name, place in (("start", first), ("end", first + self.size - 1)):
                    ends[f"{name}{number or ''}"] = f"{START + timedelta(seconds=shape.step * place):%FT%TZ}"
            yield self._with_variables(ends) if self.form == "variables" else self._with_literals(ends)

    def _with_variables(self, ends: dict[str, str]) -> bytes:
        declared = ", ".join(f"${name}: DateTime!" for name in ends)
        query = f"query ({declared}) {{ {self._field({name: '$' + name for name in ends})} }}"
        return orjson.dumps({"query": query, "variables": ends})

    def _with_literals(self, ends: dict[str, str]) -> bytes:
        literals = {name: f'"{end}"' for name, end in ends.items()}
        return orjson.dumps({"query": f"{{ {self._field(literals)} }}"})

    def _field(self, ends: dict[str, str]) -> str:
        starts, lasts = ([each for name, each in ends.items() if name.startswith(end)] for end in ("start", "end"))
        ranges = [f"start: {start}, end: {end}" for start, end in zip(starts, lasts, strict=True)]
        return self.shape.field.format(range=ranges[0], other=ranges[-1], size=self.size)


def cases(shapes: tuple[Shape, ...]) -> list[Case]:
    return [
        Case(shape, size, form, clients)
        for shape in shapes
        for size in shape.sizes
        for form in FORMS
        for clients in CLIENTS
    ]
