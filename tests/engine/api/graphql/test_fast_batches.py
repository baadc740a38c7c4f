"""The fast way against Strawberry's own, over batches that are compared, walked over or decoded by their size."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from datacosmos.domain.points import Point, Reason
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, SECOND, client_of, point
from tests.engine.api.graphql.test_fast import Both, app

TEXTS = ["a", "", "\0", "a\0", '"', '","', "],[", '"],["', ",", "\\", "%b", "é", "\u2028", "😀", "a" * 300, "\n"]
QUERIES = [
    "points { id time value }",
    "points { value time }",
    "points { id tags receivedAt }",
    "points(order: DESCENDING) { id }",
    "pointsConnection(last: 150) { edges { cursor node { tags } } pageInfo { startCursor endCursor } }",
    "discards { id time value duplicateOf }",
    "discards { faults raw series tags }",
    "discards { reason reasons source rawBase64 a: rawPreview(length: 1) }",
    "discardsConnection(last: 150) { edges { cursor node { duplicateOf } } pageInfo { startCursor endCursor } }",
    'sensorReadings(sensorId: "s1") { time temperatureC temperatureF }',
]


@pytest.fixture
async def both(settings: Settings, stores: Stores) -> AsyncGenerator[Both]:
    async with (
        client_of(app(settings, stores, fast=True)) as fast,
        client_of(app(settings, stores, fast=False)) as plain,
    ):
        yield Both(fast, plain)


def some(count: int, each: int, texts: Iterator[str], *, are_whole: bool) -> list[Point]:
    """With such texts wherever one may be; what a document may be without is there in each so-manieth alone."""
    found: list[Point] = []
    for n in range(count):
        time, is_known = NOON + n * SECOND, n % each == each - 1
        same: dict[str, Any] = {"value": n / 3, "tags": (next(texts), next(texts))[: n % 3], "raw": b"\xff" * n}
        sensor: dict[str, Any] = {"source": "sensors", "series": "sensors/s1", "sent_value": n / 5}
        discard = {"faults": (next(texts),)} if is_known else {}
        left_out = {} if is_known or are_whole else {"value": None, "series": None}
        made = [
            point(time, **same),
            point(time, **same | sensor),
            replace(
                point(None if left_out else time, Reason.SUSPECT, at=time, **same | discard | left_out),
                duplicate_of=next(texts) if is_known else None,
            ),
        ]
        found += [replace(one, id=f"{next(texts)}{number}{n:03}{next(texts)}") for number, one in enumerate(made)]
    return found


@pytest.mark.parametrize("texts", [TEXTS, ["alike"]], ids=["strange", "alike"])
@pytest.mark.parametrize("each", [1, 7, 1000])
@pytest.mark.parametrize("count", [2, 9, 40, 150])
async def test_batches_of_any_size_and_texts_are_answered_alike(
    both: Both, points: Points, count: int, each: int, texts: list[str]
) -> None:
    await points.add(some(count, each, cycle(texts), are_whole=texts != TEXTS))
    for query in QUERIES:
        assert "errors" not in (await both.ask(f"{{ {query} }}", ADMIN)).json()
