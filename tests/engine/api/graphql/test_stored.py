"""What a chart asks of stored series."""

from typing import Any

import httpx
import numpy as np
import pytest

from datacosmos.auth.issuers import Role
from datacosmos.domain.series import CHUNK, SECOND, Samples, from_datetime
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, INVALID, NOON, USER, ask, bearer, code, point, token

START = from_datetime(NOON)
OTHER = token(Role.USER, subject="bob")
WHOLE = """
query($id: ID, $name: String) {
  storedSeries(id: $id, name: $name) {
    name unit count start end
    points { time value }
    buckets(start: "2024-03-28T12:00:01Z", end: "2024-03-28T12:01:59.5Z", interval: "1m") {
      start count avg min max sum first last
    }
    sampled { points { time value } sourceCount exact }
    metrics { count mean p95 std }
  }
}
"""
LISTED = """
query($search: String, $first: Int, $after: String, $last: Int, $before: String) {
  storedSeriesConnection(search: $search, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { name } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


def ramp(count: int) -> Samples:
    """A point a second from noon on, each one more than the one before it."""
    return Samples(START + np.arange(count) * SECOND, np.arange(float(count)))


async def test_a_stored_series_is_told_bucketed_sampled_and_measured(client: httpx.AsyncClient, stores: Stores) -> None:
    made = await stores.series.create("ada", "mast", "m/s", ramp(120))
    for key in ({"id": made.id}, {"name": "mast"}):
        found = (await ask(client, WHOLE, USER, **key))["data"]["storedSeries"]
        assert (found["name"], found["unit"], found["count"]) == ("mast", "m/s", 120)
        assert (found["start"], found["end"]) == ("2024-03-28T12:00:00Z", "2024-03-28T12:01:59Z")
        assert found["points"][7] == {"time": "2024-03-28T12:00:07Z", "value": 7.0}
        assert found["buckets"] == [
            {"start": "2024-03-28T12:00:00Z", "count": 59, "avg": 30, "min": 1, "max": 59, "sum": 1770}
            | {"first": 1, "last": 59},
            {"start": "2024-03-28T12:01:00Z", "count": 60, "avg": 89.5, "min": 60, "max": 119, "sum": 5370}
            | {"first": 60, "last": 119},
        ]
        assert found["sampled"] == {"points": found["points"], "sourceCount": 120, "exact": True}
        assert (found["metrics"]["count"], found["metrics"]["mean"]) == (120, 59.5)


async def test_a_line_through_samples_has_the_extremes_of_the_whole(client: httpx.AsyncClient, stores: Stores) -> None:
    whole = ramp(5 * CHUNK)
    whole.v[[1234, 3 * CHUNK + 7]] = -1000, 1e6
    made = await stores.series.create("ada", None, None, whole)
    query = (
        "query($id: ID!) { storedSeries(id: $id) { sampled(width: 10) { points { time value } sourceCount exact } } }"
    )
    sampled = (await ask(client, query, USER, id=made.id))["data"]["storedSeries"]["sampled"]
    values = [point["value"] for point in sampled["points"]]
    assert (sampled["sourceCount"], sampled["exact"]) == (5 * CHUNK, False)
    assert len(values) <= 40
    assert {-1000.0, 1e6, 0.0, 5 * CHUNK - 1.0} <= set(values)
    assert {"time": "2024-03-28T12:20:34Z", "value": -1000.0} in sampled["points"]


@pytest.mark.parametrize("what", ["points { time }", "metrics { count }", "sampled { sourceCount }", "name"])
async def test_another_s_stored_series_is_as_if_it_were_not_there(
    client: httpx.AsyncClient, stores: Stores, what: str
) -> None:
    made = await stores.series.create("ada", "mast", None, ramp(3))
    query = f"query($id: ID, $name: String) {{ storedSeries(id: $id, name: $name) {{ {what} }} }}"
    for key in ({"id": made.id}, {"name": "mast"}, {"id": "none"}):
        for who in (OTHER, None):
            assert (await ask(client, query, who, **key))["data"] == {"storedSeries": None}
    assert (await ask(client, query, ADMIN, id=made.id))["data"]["storedSeries"] is not None
    assert code(await ask(client, query, USER)) == "INVALID_PAGE"
    assert code(await ask(client, query, USER, id=made.id, name="mast")) == "INVALID_PAGE"


async def listed(client: httpx.AsyncClient, who: str | None, **asked: Any) -> tuple[list[str], dict[str, Any]]:
    found = (await ask(client, LISTED, who, **asked))["data"]["storedSeriesConnection"]
    return [edge["node"]["name"] for edge in found["edges"]], found["pageInfo"]


async def test_stored_series_are_paged_from_both_ends_and_searched_by_a_part_of_the_name(
    client: httpx.AsyncClient, stores: Stores
) -> None:
    names = ["North.1", "north.2", "northx1", "a\\b", "(south", "öland"]
    for name in names:
        await stores.series.create("ada", name, None, ramp(1))
    await stores.series.create("bob", "bob's north", None, ramp(1))
    page, info = await listed(client, USER, first=2)
    assert (page, info["hasNextPage"], info["hasPreviousPage"]) == (names[:2], True, False)
    page, info = await listed(client, USER, first=2, after=info["endCursor"])
    assert page == names[2:4]
    assert (await listed(client, USER, last=2, before=info["startCursor"]))[0] == names[:2]
    assert (await listed(client, USER, last=1))[0] == names[-1:]
    for search, expected in (
        ("NORTH.", names[:2]),
        ("(S", names[4:5]),
        ("\\", names[3:4]),
        (".*", []),
        ("\0", []),
        ("%", []),
        ("_", []),
        ("*", []),
        ("north|a", []),
        ("^a", []),
        ("ÖLAND", ["öland"]),
    ):
        assert (await listed(client, USER, search=search))[0] == expected
    assert (await listed(client, None))[0] == []
    assert len((await listed(client, ADMIN))[0]) == 7
    assert code(await ask(client, LISTED, USER, after="bm9uZQ==")) == "INVALID_CURSOR"


async def test_more_points_than_a_list_may_have_are_refused(client: httpx.AsyncClient, stores: Stores) -> None:
    made = await stores.series.create(None, None, None, ramp(100_001))
    query = "query($id: ID!, $end: DateTime) { storedSeries(id: $id) { points(end: $end) { value } } }"
    assert code(await ask(client, query, id=made.id)) == "TOO_MANY_POINTS"
    cut = await ask(client, query, id=made.id, end="2024-03-28T12:00:09.999Z")
    assert [point["value"] for point in cut["data"]["storedSeries"]["points"]] == [*range(10)]
    span = '(start: "2024-03-29T00:00:00Z", end: "2024-03-28T00:00:00Z")'
    reverse = f'{{ storedSeries(id: "{made.id}") {{ points{span} {{ value }} }} }}'
    assert code(await ask(client, reverse)) == "INVALID_RANGE"


AT_NOON = 'start: "2024-03-28T12:00:00Z", end: "2024-03-28T12:00:00Z"'
OF_READINGS = {
    "points": "points(series: $name) { value }",
    "pointsConnection": "pointsConnection(series: $name) { edges { node { value } } }",
    "buckets": f'buckets(series: $name, {AT_NOON}, interval: "1d") {{ sum }}',
    "sampled": "sampled(series: $name) { sourceCount }",
    "latest": "latest(series: [$name]) { value }",
    "series": "series(name: $name) { count }",
}


@pytest.mark.parametrize("field", OF_READINGS)
@pytest.mark.parametrize("who", [None, USER], ids=["no token", "user"])
async def test_who_asks_for_readings_of_a_name_that_only_a_stored_series_of_theirs_has_is_told_where_it_is(
    client: httpx.AsyncClient, stores: Stores, field: str, who: str | None
) -> None:
    query = f"query($name: String!) {{ {OF_READINGS[field]} }}"
    await stores.series.create("ada" if who else None, "mast", "m/s", ramp(3))
    await stores.series.create("bob", "another's", "m/s", ramp(3))
    await stores.points.add([made := point(series="both")])
    await stores.summaries.note([made])
    await stores.series.create("ada", "both", "m/s", ramp(3))
    answer = await ask(client, query, who, name="mast")
    assert code(answer) == "UNKNOWN_SERIES"
    assert "storedSeries(name: …)" in answer["errors"][0]["message"]
    others = await ask(client, query, who, name="another's")
    assert "storedSeries" not in str(others)
    assert "storedSeries" not in str(await ask(client, query, INVALID["expired"], name="mast"))
    if who:
        assert "errors" not in await ask(client, query, who, name="both")


@pytest.mark.parametrize("who", [None, USER], ids=["no token", "user"])
async def test_an_export_of_such_a_name_is_told_the_same(
    client: httpx.AsyncClient, stores: Stores, who: str | None
) -> None:
    await stores.series.create("ada" if who else None, "mast", "m/s", ramp(3))
    await stores.series.create("bob", "another's", "m/s", ramp(3))
    told = await client.get("/points", params={"series": "mast"}, headers=bearer(who))
    assert (told.status_code, "storedSeries(name: …)" in told.json()["detail"]) == (404, True)
    other = await client.get("/points", params={"series": "another's"}, headers=bearer(who))
    assert (other.status_code, "storedSeries" in other.text) == (200 if who else 401, False)
