"""Points chosen by value and tags."""

from typing import Any

import httpx
import pytest

from datacosmos.domain.points import Point
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import NOON, SECOND, ask, code, point

LIST = "query($where: PointFilter, $order: Order! = ASCENDING) { points(where: $where, order: $order) { %s } }"
PAGE = """
query($where: PointFilter, $last: Int, $before: String) {
  pointsConnection(where: $where, last: $last, before: $before) {
    edges { node { value } }
    pageInfo { hasPreviousPage startCursor }
  }
}
"""
TAGS = [(), ("a",), ("b",), ("a", "b"), ("c",)]


@pytest.fixture(autouse=True)
async def stored(stores: Stores) -> None:
    """Values 0.0 to 4.0, in this order, with the tags above; and one that no list has."""
    points = [point(NOON + n * SECOND, value=float(n), tags=tags) for n, tags in enumerate(TAGS)]
    points += [point(NOON, value=float("inf"), tags=("a", "b", "c"))]
    await stores.points.add(points)
    await stores.summaries.note(points)


@pytest.mark.parametrize("fields", ["value", "id time value tags"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, [0, 1, 2, 3, 4]),
        ({}, [0, 1, 2, 3, 4]),
        ({"valueFrom": 1}, [1, 2, 3, 4]),
        ({"valueTo": 1.0}, [0, 1]),
        ({"valueFrom": 1, "valueTo": 3}, [1, 2, 3]),
        ({"valueFrom": 2, "valueTo": 2}, [2]),
        ({"valueFrom": None, "valueTo": None}, [0, 1, 2, 3, 4]),
        ({"anyTag": ["a"]}, [1, 3]),
        ({"anyTag": ["a", "c"]}, [1, 3, 4]),
        ({"noTag": ["a"]}, [0, 2, 4]),
        ({"noTag": ["a", "b"]}, [0, 4]),
        ({"anyTag": ["b"], "noTag": ["a"]}, [2]),
        ({"anyTag": [], "noTag": []}, [0, 1, 2, 3, 4]),
        ({"anyTag": ["b"], "valueFrom": 2.5}, [3]),
        ({"anyTag": ["$exists"]}, []),
    ],
)
async def test_points_are_chosen_by_value_and_tags(
    client: httpx.AsyncClient, where: dict[str, Any] | None, expected: list[float], fields: str
) -> None:
    for order, values in (("ASCENDING", expected), ("DESCENDING", expected[::-1])):
        answer = await ask(client, LIST % fields, where=where, order=order)
        assert [each["value"] for each in answer["data"]["points"]] == values
    page = (await ask(client, PAGE, where=where))["data"]["pointsConnection"]
    assert [edge["node"]["value"] for edge in page["edges"]] == expected


async def test_a_series_takes_the_same_filter(client: httpx.AsyncClient) -> None:
    answer = await ask(client, '{ series(name: "datacosmos") { points(where: {noTag: ["a"], valueTo: 2}) { value } } }')
    assert [each["value"] for each in answer["data"]["series"]["points"]] == [0, 2]


async def test_a_page_of_chosen_points_is_full(client: httpx.AsyncClient, points: Points) -> None:
    """What was not chosen counts neither for the page nor for whether there is another."""
    await points.add([point(NOON + 9 * SECOND, value=9.0, tags=("a",)), point(NOON - SECOND, value=-1.0)])
    chosen = {"anyTag": ["a"]}
    page = (await ask(client, PAGE, where=chosen, last=2))["data"]["pointsConnection"]
    assert [edge["node"]["value"] for edge in page["edges"]] == [3, 9]
    assert page["pageInfo"]["hasPreviousPage"]
    before = page["pageInfo"]["startCursor"]
    page = (await ask(client, PAGE, where=chosen, last=2, before=before))["data"]["pointsConnection"]
    assert [edge["node"]["value"] for edge in page["edges"]] == [1]
    assert not page["pageInfo"]["hasPreviousPage"]


@pytest.mark.parametrize("where", [{"valueFrom": 2, "valueTo": 1}, {"anyTag": ["a"] * 101}, {"noTag": ["a"] * 101}])
async def test_a_filter_that_cannot_be_is_an_error(client: httpx.AsyncClient, where: dict[str, Any]) -> None:
    assert code(await ask(client, LIST % "value", where=where)) == "INVALID_RANGE"
    assert code(await ask(client, PAGE, where=where)) == "INVALID_RANGE"


@pytest.mark.parametrize("where", ["valueFrom: 1e400", "valueTo: -1e400", "valueFrom: 1e308"])
async def test_bounds_that_no_value_reaches_choose_nothing(client: httpx.AsyncClient, where: str) -> None:
    """Also one that is beyond a double, which only a literal can be."""
    for _ in range(2):
        assert await ask(client, f"{{ points(where: {{{where}}}) {{ value tags }} }}") == {"data": {"points": []}}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", '"1"', "true"])
async def test_a_bound_that_is_no_number_is_refused(client: httpx.AsyncClient, number: str) -> None:
    query = "query($where: PointFilter) { points(where: $where) { value } }"
    body = f'{{"query": "{query}", "variables": {{"where": {{"valueFrom": {number}}}}}}}'
    answer = await client.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert len(answer.json()["errors"]) == 1
    assert not answer.json().get("data")


@pytest.mark.parametrize("backward", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("where", [{"anyTag": ["a"], "valueTo": 5.5}, {"noTag": ["b"], "valueFrom": 2}])
async def test_a_walk_over_chosen_points_meets_each_once_while_others_arrive(
    client: httpx.AsyncClient, points: Points, where: dict[str, Any], backward: bool
) -> None:
    """Three hundred share a millisecond."""

    def made(second: int, number: int) -> Point:
        return point(NOON + second * SECOND, value=float(number % 7), tags=TAGS[number % len(TAGS)])

    await points.add([made(20 + (number > 150) * (number < 450), number) for number in range(600)])
    expected = [each["id"] for each in (await ask(client, LIST % "id", where=where))["data"]["points"]]
    query = """query($first: Int, $after: String, $last: Int, $before: String, $where: PointFilter) {
      pointsConnection(first: $first, after: $after, last: $last, before: $before, where: $where) {
        edges { node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }"""
    size, beyond, more, end = (
        ("last", "before", "hasPreviousPage", "startCursor")
        if backward
        else ("first", "after", "hasNextPage", "endCursor")
    )
    seen, cursor, has_more, pages = list[str](), None, True, 0
    while has_more and pages < 40:
        asked: dict[str, Any] = {size: 31, beyond: cursor, "where": where}
        page = (await ask(client, query, **asked))["data"]["pointsConnection"]
        ids = [edge["node"]["id"] for edge in page["edges"]]
        seen = ids + seen if backward else seen + ids
        cursor, has_more, pages = page["pageInfo"][end], page["pageInfo"][more], pages + 1
        await points.add([made(second, number) for second in (20, 21) for number in (7, 8, 9)])
    assert not has_more
    assert len(seen) == len(set(seen))
    assert [each for each in seen if each in set(expected)] == expected
