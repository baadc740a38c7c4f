"""A line through the samples of a series covers the pixels that one through all of its points covers."""

import random
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from datacosmos.domain.instants import parse_time
from datacosmos.domain.points import Point
from datacosmos.domain.series import Samples, from_datetime
from datacosmos.domain.summaries import MINUTE, spans
from datacosmos.store.mongo.connection import Database
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from tests.asking import NOON, USER, ask, point

WIDTH, HEIGHT, COUNT = 60, 300, 3000
Line = list[tuple[int, float]]
Picture = NDArray[np.bool_]
READINGS = """query($start: DateTime, $end: DateTime, $width: Int!) {
  whole: points(start: $start, end: $end) { time value }
  sampled(start: $start, end: $end, width: $width) { points { time value } exact }
}"""
STORED = """query($start: DateTime, $end: DateTime, $width: Int!) {
  storedSeries(name: "mast") {
    whole: points(start: $start, end: $end) { time value }
    sampled(start: $start, end: $end, width: $width) { points { time value } exact }
  }
}"""
MIDDLE = {"start": "2024-03-28T12:17:03.250Z", "end": "2024-03-28T15:41:59.001Z"}
RANGES: dict[str, dict[str, str]] = {
    "open": {},
    "closed": MIDDLE,
    "open at the end": {"start": MIDDLE["start"]},
    "open at the start": {"end": MIDDLE["end"]},
    "wider than the series": {"start": "2024-03-28T11:00:00Z", "end": "2024-03-28T20:00:00Z"},
}


def wild(seed: int) -> list[tuple[datetime, float]]:
    """Over some five hours: steps, spikes, gaps of many pixels, and several points at a time now and then."""
    chance, at, value = random.Random(seed), NOON, 0.0
    found: list[tuple[datetime, float]] = []
    for _ in range(COUNT):
        value += chance.gauss(0, 1)
        found.append((at, chance.choice([-90.0, 90.0]) if chance.random() < 0.01 else value))
        gap = 20 * 60_000 if chance.random() < 0.002 else chance.choice([0, 1, 3000, 9000])
        at += timedelta(milliseconds=gap)
    return found


def drawn(line: Line, edges: NDArray[np.int64], low: float, high: float) -> Picture:
    """A pixel between each two edges: those that a line through the points touches, without antialiasing."""
    picture = np.zeros((len(edges) - 1, HEIGHT), bool)
    places = [(_place(t, edges), (v - low) / (high - low) * (HEIGHT - 1)) for t, v in line]
    for (x, y), (other_x, other_y) in pairwise(places):
        for column in range(int(x), int(other_x) + 1):
            ends = [
                y if other_x == x else y + (other_y - y) * (min(max(at, x), other_x) - x) / (other_x - x)
                for at in (column, column + 1)
            ]
            ends = [y, other_y] if other_x == x else ends
            picture[column, int(min(ends)) : int(max(ends)) + 1] = True
    return picture


def _place(time: int, edges: NDArray[np.int64]) -> float:
    """In pixels from the left."""
    column = int(np.searchsorted(edges, time, "right")) - 1
    return column + (time - int(edges[column])) / int(edges[column + 1] - edges[column])


def line_of(points: list[dict[str, Any]]) -> Line:
    return [(from_datetime(parse_time(each["time"])), each["value"]) for each in points]


def are_alike(found: dict[str, Any], asked: dict[str, str], *, by_minute: bool = False) -> None:
    whole, sampled = line_of(found["whole"]), line_of(found["sampled"]["points"])
    assert not found["sampled"]["exact"]
    assert len(sampled) <= 4 * WIDTH < len(whole)
    assert set(sampled) <= set(whole)
    start, end = (from_datetime(parse_time(asked[name])) if name in asked else None for name in ("start", "end"))
    start, end = whole[0][0] if start is None else start, whole[-1][0] if end is None else end
    edges = spans(start, end, WIDTH)
    if by_minute:
        moved = np.clip((edges[1:-1] + MINUTE // 2) // MINUTE * MINUTE, start, end + 1)
        assert np.abs(moved - edges[1:-1]).max() <= MINUTE // 2
        edges[1:-1] = moved
    low, high = min(v for _, v in whole), max(v for _, v in whole)
    assert (drawn(sampled, edges, low, high) == drawn(whole, edges, low, high)).all()


@pytest.mark.parametrize("asked", RANGES.values(), ids=RANGES.keys())
@pytest.mark.parametrize("summarised", [False, True])
async def test_a_line_through_samples_looks_as_one_through_all_points_does(
    client: httpx.AsyncClient,
    stores: Stores,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, str],
    summarised: bool,
) -> None:
    """Over summaries too, where the pixels' edges are moved to the nearest minute."""
    points: list[Point] = [point(time, value=value) for time, value in wild(len(asked))]
    await stores.points.add(points)
    await stores.summaries.note(points)
    if summarised:
        monkeypatch.setattr("datacosmos.store.summaries.summaries.MOST_READ", 4 * WIDTH)
        monkeypatch.setattr("datacosmos.store.summaries.summaries.NARROW", 1)
        await Builder(database, stores.summaries).catch_up()
    found = (await ask(client, READINGS, **asked, width=WIDTH))["data"]
    are_alike(found, asked, by_minute=summarised)


@pytest.mark.parametrize("asked", RANGES.values(), ids=RANGES.keys())
async def test_a_line_through_samples_of_a_stored_series_does_too(
    client: httpx.AsyncClient, stores: Stores, asked: dict[str, str]
) -> None:
    made = {from_datetime(time): value for time, value in wild(7)}
    samples = Samples(np.array([*made], np.int64), np.array([*made.values()]))
    await stores.series.create("ada", "mast", None, samples)
    found = (await ask(client, STORED, USER, **asked, width=WIDTH))["data"]["storedSeries"]
    are_alike(found, asked)


async def test_the_drawing_itself_tells_one_point_more_or_less() -> None:
    line = [(0, 0.0), (40, 5.0), (41, -5.0), (99, 1.0)]
    edges = spans(0, 99, 10)
    whole = drawn(line, edges, -5, 5)
    assert (drawn([each for each in line if each[1] != -5], edges, -5, 5) != whole).any()
