"""A stand-in for the data server: `GET /` takes one point, or answers 404 while there is none."""

import json
import math
import random
import struct
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Fields = dict[str, Any]

# Points kept while nobody asks; older ones are dropped, as a device with little memory would.
BACKLOG = 10_000

FAULTY = 0.25
"""About the share of what is discarded, which these add up to."""
OLD_SHARE, MALFORMED_SHARE = 0.06, 0.08
FAULTY_TAGS = {"system": 0.06, "suspect": 0.06}
TAGS = {"calibrated": 0.1, "indoor": 0.2}


def create_simulator(
    rate: float, seed: int | None, clock: Callable[[], float] = time.time, *, faulty: float = FAULTY
) -> Starlette:
    """The stand-in as an app: `rate` points come in a second, the same ones for the same seed and clock."""
    generator = Generator(rate, seed, clock, faulty)

    async def serve(request: Request) -> Response:
        # HEAD comes here too, and must not take a point that it can't carry.
        body = generator.take() if request.method == "GET" else None
        if body is None:
            return Response(status_code=404)
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/", serve)])


class Generator:
    """The points that have come in, each made when it is taken. Raises ValueError for a rate that is none."""

    def __init__(self, rate: float, seed: int | None, clock: Callable[[], float], faulty: float = FAULTY) -> None:
        if not 0 < rate < math.inf:
            raise ValueError(f"rate must be a positive number of points a second, but is {rate}")
        self._rate, self._clock, self._random = rate, clock, random.Random(seed)  # noqa: S311
        self._scale = faulty / FAULTY
        self._started = clock()
        self._taken = 0

    def take(self) -> bytes | None:
        """The oldest point that is left, or None."""
        due = int((self._clock() - self._started) * self._rate)
        if self._taken >= due:
            return None
        self._taken = max(self._taken, due - BACKLOG) + 1
        return self._payload(self._started + self._taken / self._rate)

    def _payload(self, at: float) -> bytes:
        fields = self._fields(at)
        if self._random.random() >= MALFORMED_SHARE * self._scale:
            return _encode(fields)
        if self._random.random() < 0.5:
            return _encode(fields | self._random.choice(WRONG_FIELDS))
        return self._random.choice(WRONG_BODIES)(fields)

    def _fields(self, at: float) -> Fields:
        draw = self._random.random
        value = math.sin(at * math.tau / 600) + self._random.gauss(0, 0.05)
        age = 3600 + draw() * 86400 if draw() < OLD_SHARE * self._scale else 0
        tags = [tag for tag, share in FAULTY_TAGS.items() if draw() < share * self._scale]
        tags += [tag for tag, share in TAGS.items() if draw() < share]
        fields: Fields = {"time": int(at - age), "value": list(struct.pack("<f", value)), "tags": tags}
        if not tags and draw() < 0.1:
            fields = self._random.choice([fields | {"tags": None}, _without(fields, "tags")])
        return fields


def _encode(payload: object) -> bytes:
    return json.dumps(payload).encode()


def _without(fields: Fields, name: str) -> Fields:
    return {key: value for key, value in fields.items() if key != name}


WRONG_FIELDS: tuple[Fields, ...] = (
    {"time": None},
    {"time": "noon"},
    {"time": 1711644934.5},
    {"time": True},
    {"time": 10**12},
    {"time": -(10**30)},
    {"value": None},
    {"value": 0.5},
    {"value": [218, 202, 115]},
    {"value": [218, 202, 115, 191, 0]},
    {"value": [218, 202, 115, 256]},
    {"value": [-1, 202, 115, 191]},
    {"value": [218.0, 202, 115, 191]},
    {"value": [0, 0, 192, 127]},  # NaN
    {"value": [0, 0, 128, 255]},  # minus infinity
    {"tags": "system"},
    {"tags": ["indoor", 7]},
    {"tags": ["\ud800", "system"]},
)

WRONG_BODIES: tuple[Callable[[Fields], bytes], ...] = (
    lambda _: b"",
    lambda _: b"<html>busy</html>",
    lambda _: b"null",
    lambda _: b"[" * 50_000,
    lambda _: b"\xff\xfe\x00",
    lambda fields: _encode([fields]),
    lambda fields: _encode(fields)[:-9],
    lambda fields: _encode(fields | {"note": math.nan}),
    lambda fields: _encode(fields | {"note": "x" * 64 * 1024}),
    lambda fields: _encode(fields).replace(b"{", b'{"time": 0, ', 1),
    lambda fields: _encode(_without(fields, "time")),
    lambda fields: _encode(_without(fields, "value")),
)
