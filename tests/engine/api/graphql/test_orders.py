"""Lists from either end: descending, and by Relay's backward paging."""

from typing import Any

import httpx
import pytest

from datacosmos.domain.points import Point, Reason
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, SECOND, ask, code, point

PAGE = """
query($first: Int, $after: String, $last: Int, $before: String, $start: DateTime, $end: DateTime) {
  page: %s(first: $first, after: $after, last: $last, before: $before, start: $start, end: $end) {
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
CONNECTIONS = {"pointsConnection": 1000, "discardsConnection": 100}
"""Each with how many edges a page has where nobody says."""


def item(connection: str, seconds: float, **changes: Any) -> Point:
    """One that stands in the list of the connection at this time."""
    time = NOON + seconds * SECOND
    reasons = () if connection == "pointsConnection" else (Reason.SYSTEM,)
    return point(time, *reasons, at=time, **changes)


async def page_of(client: httpx.AsyncClient, connection: str, **arguments: Any) -> dict[str, Any]:
    answer = await ask(client, PAGE % connection, ADMIN, **arguments)
    assert "errors" not in answer
    return answer["data"]["page"]


def ids(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


@pytest.mark.parametrize("fields", ["id time value", "id tags"])
async def test_a_list_descends_where_it_is_asked_to(client: httpx.AsyncClient, stores: Stores, fields: str) -> None:
    stored = [point(NOON + second // 2 * SECOND, value=float(second)) for second in range(6)]
    await stores.points.add(stored)
    await stores.summaries.note(stored)
    names = sorted(each.id for each in stored)
    query = '{ up: points { %s } down: points(order: DESCENDING) { %s } series(name: "datacosmos") { %s } }'
    below = f"points(order: DESCENDING) {{ {fields} }}"
    data = (await ask(client, query % (fields, fields, below)))["data"]
    assert [each["id"] for each in data["up"]] == names
    assert [each["id"] for each in data["down"]] == names[::-1]
    assert [each["id"] for each in data["series"]["points"]] == names[::-1]


async def test_discards_descend_by_receipt(client: httpx.AsyncClient, points: Points) -> None:
    stored = [item("discardsConnection", second) for second in (0, 0, 1)]
    await points.add(stored)
    answer = await ask(client, "{ discards(order: DESCENDING) { id } }", ADMIN)
    assert [each["id"] for each in answer["data"]["discards"]] == [each.id for each in reversed(stored)]


@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_the_last_one_is_the_newest_and_pages_ascend(
    client: httpx.AsyncClient, points: Points, connection: str
) -> None:
    stored = [item(connection, second) for second in range(5)]
    await points.add(stored)
    names = [each.id for each in stored]
    newest = await page_of(client, connection, last=1)
    assert ids(newest) == names[-1:]
    assert newest["pageInfo"]["hasPreviousPage"]
    assert not newest["pageInfo"]["hasNextPage"]
    before = await page_of(client, connection, last=3, before=newest["pageInfo"]["startCursor"])
    assert ids(before) == names[1:4]
    cursors = [edge["cursor"] for edge in before["edges"]]
    expected = {"hasNextPage": True, "hasPreviousPage": True, "startCursor": cursors[0], "endCursor": cursors[-1]}
    assert before["pageInfo"] == expected
    assert ids(await page_of(client, connection, after=cursors[-1])) == names[4:]
    assert ids(await page_of(client, connection, before=cursors[1])) == names[:2]


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("backward", [False, True], ids=["forwards", "backwards"])
async def test_a_walk_meets_each_stored_before_it_began_once_while_others_arrive(
    client: httpx.AsyncClient, points: Points, connection: str, backward: bool
) -> None:
    stored = [item(connection, second) for second in (0, 1, *[2] * 300, 3, 4)]
    await points.add(stored)
    size, beyond, more, end = (
        ("last", "before", "hasPreviousPage", "startCursor")
        if backward
        else ("first", "after", "hasNextPage", "endCursor")
    )
    seen: list[str] = []
    cursor: str | None = None
    has_more = True
    for number in range(40):
        page = await page_of(client, connection, **{size: 37, beyond: cursor})
        seen = ids(page) + seen if backward else seen + ids(page)
        cursor = page["pageInfo"][end]
        if not (has_more := page["pageInfo"][more]):
            break
        await points.add([item(connection, second) for second in (-1, 1, 2, 3, 5 + number)])
    assert not has_more
    names = {each.id for each in stored}
    assert [name for name in seen if name in names] == [each.id for each in stored]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_a_page_backwards_stays_within_start_and_end(
    client: httpx.AsyncClient, points: Points, connection: str
) -> None:
    stored = [item(connection, second) for second in range(6)]
    await points.add(stored)
    names = [each.id for each in stored]
    cursors = [edge["cursor"] for edge in (await page_of(client, connection))["edges"]]
    window = {"start": "2024-03-28T12:00:01Z", "end": "2024-03-28T12:00:03Z"}
    for number, expected in enumerate(([], [], names[1:2], names[1:3], names[1:4], names[1:4])):
        assert ids(await page_of(client, connection, before=cursors[number], **window)) == expected
    assert ids(await page_of(client, connection, last=2, **window)) == names[2:4]


@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_a_page_in_both_directions_or_of_no_size_is_an_error(client: httpx.AsyncClient, connection: str) -> None:
    query, default = PAGE % connection, CONNECTIONS[connection]
    for faulty in (
        {"first": 2, "last": 2},
        {"first": default, "last": 2},
        {"first": default, "before": "x"},
        {"first": 2, "before": "x"},
        {"after": "x", "last": 2},
        {"last": 0},
        {"first": 0},
        {"last": 100_001},
    ):
        assert code(await ask(client, query, ADMIN, **faulty)) == "INVALID_PAGE"
    for cursor in ({"before": ""}, {"after": ""}):
        assert code(await ask(client, query, ADMIN, **cursor)) == "INVALID_CURSOR"


@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_first_is_told_from_its_default_however_it_is_sent(client: httpx.AsyncClient, connection: str) -> None:
    both = f"first: {CONNECTIONS[connection]}, last: 2"
    selected = "{ pageInfo { hasNextPage } }"
    for query in (
        f"{{ {connection}({both}) {selected} }}",
        f"{{ {connection}({both}) {selected} __typename }}",
        f"query($n: Int = {CONNECTIONS[connection]}) {{ {connection}(first: $n, last: 2) {selected} }}",
        f"{{ ...all }} fragment all on Query {{ {connection}({both}) {selected} }}",
    ):
        for _ in range(2):  # the second time, the query is known
            assert code(await ask(client, query, ADMIN)) == "INVALID_PAGE"
    for query in (
        f"{{ {connection}(last: 2) {selected} }}",
        f"query($n: Int) {{ {connection}(first: $n, last: 2) {selected} }}",
    ):
        for _ in range(2):
            assert "errors" not in await ask(client, query, ADMIN)
