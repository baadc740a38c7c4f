"""How many there are on all pages of a connection."""

from typing import Any

import httpx
import numpy as np
import pytest

from datacosmos.domain.points import Reason
from datacosmos.domain.series import Samples, from_datetime
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from tests.asking import ADMIN, NOON, SECOND, USER, ask, code, point

SERIES = ("datacosmos", "sensors/a", "sensors/b")
WINDOW = 'start: "2024-03-28T12:00:01Z", end: "2024-03-28T12:00:03Z"'


@pytest.fixture(autouse=True)
async def stored(stores: Stores) -> None:
    """Of each series six points, one of which no list has, and a discard."""
    values = [0.0, 1.0, 2.0, 3.0, 4.0, float("inf")]
    points = [
        point(NOON + n * SECOND, series=series, value=value, tags=("odd",) * (n % 2))
        for series in SERIES
        for n, value in enumerate(values)
    ]
    points += [
        point(NOON, Reason.SYSTEM, *more, at=NOON + n * SECOND, source=source)
        for n, (source, more) in enumerate([("x", ()), ("x", (Reason.SUSPECT,)), ("y", (Reason.SUSPECT,))])
    ]
    await stores.points.add(points)
    await stores.summaries.note(points)
    one = Samples(np.array([from_datetime(NOON)]), np.array([0.5]))
    for owner, name in (("ada", "mast"), ("ada", "quay"), ("bob", "mast")):
        await stores.series.create(owner, name, None, one)


async def total(client: httpx.AsyncClient, field: str, who: str | None = ADMIN, more: str = "") -> Any:
    answer = await ask(client, f"{{ {field} {{ totalCount {more} }} }}", who)
    assert "errors" not in answer
    return answer["data"][field.split("(", maxsplit=1)[0]]["totalCount"]


@pytest.mark.parametrize("summarised", [False, True])
@pytest.mark.parametrize("more", ["", "edges { cursor }", "pageInfo { hasNextPage }"])
async def test_all_that_a_page_is_part_of_are_counted(
    client: httpx.AsyncClient, stores: Stores, database: Database, summarised: bool, more: str
) -> None:
    if summarised:
        await Builder(database, stores.summaries).catch_up()
    for arguments, expected in {
        "": 5,
        "(first: 1)": 5,
        "(last: 1)": 5,
        f"({WINDOW})": 3,
        f"({WINDOW}, where: {{valueTo: 2}})": 2,
        "(where: {})": 5,
        '(where: {anyTag: ["odd"]})': 2,
        "(where: {valueFrom: 9})": 0,
        '(series: "none")': 0,
    }.items():
        assert await total(client, f"pointsConnection{arguments}", more=more) == expected


async def test_a_later_page_has_the_same_total(client: httpx.AsyncClient) -> None:
    page = await ask(client, "{ pointsConnection(first: 2) { pageInfo { endCursor } } }")
    cursor = page["data"]["pointsConnection"]["pageInfo"]["endCursor"]
    for arguments in (f'first: 2, after: "{cursor}"', f'last: 2, before: "{cursor}"'):
        assert await total(client, f"pointsConnection({arguments})") == 5


async def test_discards_are_counted_as_they_are_chosen(client: httpx.AsyncClient) -> None:
    for arguments, expected in {
        "": 3,
        "(first: 1)": 3,
        "(reason: SUSPECT)": 2,
        '(reason: SUSPECT, source: "x")': 1,
        f"({WINDOW})": 2,
        '(source: "none")': 0,
    }.items():
        assert await total(client, f"discardsConnection{arguments}") == expected


async def test_series_are_counted_as_far_as_they_may_be_read(client: httpx.AsyncClient) -> None:
    assert await total(client, "seriesConnection(first: 1)", None) == 1
    assert await total(client, "seriesConnection(first: 1)", USER) == 3
    assert await total(client, 'seriesConnection(search: "SENSORS")', USER) == 2
    assert await total(client, 'seriesConnection(search: "sensors")', None) == 0
    assert await total(client, "storedSeriesConnection", None) == 0
    assert await total(client, "storedSeriesConnection(first: 1)", USER) == 2
    assert await total(client, 'storedSeriesConnection(search: "AST")', USER) == 1
    assert await total(client, 'storedSeriesConnection(search: "ast")', ADMIN) == 2


@pytest.mark.parametrize(
    "field",
    [
        "pointsConnection",
        "pointsConnection(where: {valueTo: 3})",
        "discardsConnection",
        "seriesConnection",
        "storedSeriesConnection",
    ],
)
async def test_what_takes_too_long_to_count_is_null_with_an_error_beside_its_page(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setattr("datacosmos.api.graphql.paging.COUNT_SECONDS", 0)
    answer = await ask(client, f"{{ {field} {{ totalCount edges {{ cursor }} }} }}", ADMIN)
    name = field.split("(", maxsplit=1)[0]
    assert code(answer) == "TOO_MANY_POINTS"
    assert answer["errors"][0]["path"] == [name, "totalCount"]
    assert answer["data"][name]["totalCount"] is None
    assert answer["data"][name]["edges"]


async def test_nothing_is_counted_unless_it_is_asked_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("count_accepted", "count_discarded"):
        monkeypatch.delattr(Points, method)
    for field in ("pointsConnection(where: {valueTo: 3})", "discardsConnection"):
        assert "errors" not in await ask(
            client, f"{{ {field} {{ edges {{ cursor }} pageInfo {{ endCursor }} }} }}", ADMIN
        )
