"""What a chart asks for: buckets, samples, the newest points, and which series there are."""

import itertools
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from datacosmos.domain.points import Point, Reason
from datacosmos.errors import StoreUnavailable
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from datacosmos.store.summaries.names import Names
from tests.asking import ADMIN, NOON, SECOND, USER, app_of, ask, client_of, client_without_store, code, point

BUCKETS = """
query(
  $start: DateTime!, $end: DateTime!, $interval: Duration!, $series: String! = "datacosmos", $zone: String! = "UTC"
) {
  buckets(series: $series, start: $start, end: $end, interval: $interval, timeZone: $zone) {
    start end count avg min max sum first last
  }
}
"""
SAMPLED = "query($width: Int!) { sampled(width: $width) { points { time value } sourceCount exact } }"
PAGE = """
query($search: String, $first: Int, $after: String, $last: Int, $before: String) {
  seriesConnection(search: $search, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { name source } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


def at(seconds: float, value: float, **changes: Any) -> Point:
    return point(NOON + seconds * SECOND, value=value, **changes)


async def store(stores: Stores, points: Sequence[Point]) -> None:
    """As the writer does."""
    await stores.points.add(points)
    await stores.summaries.note(points)


async def summarise(stores: Stores, database: Database) -> None:
    assert await Builder(database, stores.summaries).catch_up()


@pytest.mark.parametrize("summarised", [False, True])
async def test_buckets_tell_what_each_interval_adds_up_to_empty_ones_too(
    client: httpx.AsyncClient, stores: Stores, database: Database, summarised: bool
) -> None:
    await store(stores, [at(0, 2.0), at(1, 1.0), at(59.999, 4.5), at(125, -1.0), at(130, 99.0)])
    if summarised:
        await summarise(stores, database)
    asked = {"start": "2024-03-28T12:00:01Z", "end": "2024-03-28T12:02:05Z", "interval": "1m"}
    answer = await ask(client, BUCKETS, **asked)
    assert answer["data"]["buckets"] == [
        {
            "start": "2024-03-28T12:00:00Z",
            "end": "2024-03-28T12:01:00Z",
            "count": 2,
            "avg": 2.75,
            "min": 1.0,
            "max": 4.5,
            "sum": 5.5,
            "first": 1.0,
            "last": 4.5,
        },
        {
            "start": "2024-03-28T12:01:00Z",
            "end": "2024-03-28T12:02:00Z",
            "count": 0,
            **dict.fromkeys(("avg", "min", "max", "first", "last")),
            "sum": 0.0,
        },
        {
            "start": "2024-03-28T12:02:00Z",
            "end": "2024-03-28T12:03:00Z",
            "count": 1,
            **dict.fromkeys(("avg", "min", "max", "sum", "first", "last"), -1.0),
        },
    ]


async def test_days_are_those_of_the_time_zone(client: httpx.AsyncClient, stores: Stores) -> None:
    await store(stores, [at(0, 1.0)])
    asked = {"start": "2024-03-31T12:00:00+02:00", "end": "2024-03-31T13:00:00+02:00", "interval": "P1D"}
    [bucket] = (await ask(client, BUCKETS, **asked, zone="Europe/Berlin"))["data"]["buckets"]
    assert (bucket["start"], bucket["end"]) == ("2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
async def test_buckets_reach_both_ends_of_the_calendar(client: httpx.AsyncClient, day: str, zone: str) -> None:
    asked = {"start": f"{day}T00:00:00Z", "end": f"{day}T23:59:59.999999Z", "interval": "PT1H"}
    found = (await ask(client, BUCKETS, **asked, zone=zone))["data"]["buckets"]
    assert 24 <= len(found) <= 26


async def test_the_charts_of_one_query_hold_so_much_together_and_no_more(settings: Settings, stores: Stores) -> None:
    await store(stores, [at(0, 1.0)])
    buckets = 'buckets(start: "2024-03-28T12:00:00Z", end: "2024-03-28T14:46:38Z", interval: "1s") { count }'
    query = f'{{ series(name: "datacosmos") {{ a: {buckets} }} b: {buckets} c: {buckets} }}'
    async with client_of(app_of(settings.model_copy(update={"max_points": 3}), stores)) as client:
        answer = await ask(client, query)
    assert code(answer) == "TOO_MANY_POINTS"
    assert len(answer["errors"]) == 1


@pytest.mark.parametrize(
    ("changes", "said", "expected"),
    [
        ({"end": "2025-03-28T12:00:00Z"}, "PT1M gives more than 10000 buckets; PT1H fits", "INVALID_INTERVAL"),
        ({"zone": "Europe/Atlantis"}, "'Europe/Atlantis' is no name of the time zone database", "INVALID_INTERVAL"),
        ({"zone": "../../etc/passwd"}, "is no name of the time zone database", "INVALID_INTERVAL"),
        ({"end": "2024-03-28T11:00:00Z"}, "is after end", "INVALID_RANGE"),
        ({"series": "sensors/a"}, "this needs a token", "UNAUTHENTICATED"),
    ],
)
async def test_buckets_that_cannot_be_are_refused_with_what_to_do(
    client: httpx.AsyncClient, changes: dict[str, str], said: str, expected: str
) -> None:
    asked = {"start": "2024-03-28T12:00:00Z", "end": "2024-03-28T12:02:00Z", "interval": "PT1M"}
    answer = await ask(client, BUCKETS, **asked | changes)
    assert said in answer["errors"][0]["message"]
    assert code(answer) == expected


async def test_a_duration_that_is_none_is_told_so(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/graphql",
        json={
            "query": BUCKETS,
            "variables": {"start": "2024-03-28T12:00:00Z", "end": "2024-03-28T12:00:00Z", "interval": "1 hour"},
        },
    )
    assert "Duration: '1 hour' is no duration like PT5M" in answer.json()["errors"][0]["message"]


DISCARD_BUCKETS = """
query($start: DateTime!, $end: DateTime!, $interval: Duration! = "1m", $source: String, $series: String) {
  discardBuckets(start: $start, end: $end, interval: $interval, source: $source, series: $series) {
    start end count byReason { reason count }
  }
}
"""
A_WHILE = {"start": "2024-03-28T12:00:01Z", "end": "2024-03-28T12:02:00Z"}


def discarded(seconds: float, *reasons: Reason, **changes: Any) -> Point:
    return point(None, *reasons, at=NOON + seconds * SECOND, **changes)


@pytest.mark.parametrize("summarised", [False, True])
async def test_discards_are_counted_by_their_first_reason_in_each_interval_they_were_received_in(
    client: httpx.AsyncClient, stores: Stores, database: Database, summarised: bool
) -> None:
    both = discarded(1, Reason.TOO_OLD, Reason.SUSPECT)
    await store(stores, [discarded(0, Reason.SUSPECT), both, discarded(59.999, Reason.MALFORMED, series=None)])
    await store(
        stores, [discarded(59, Reason.TOO_OLD), discarded(120, Reason.DUPLICATE, source="sensors"), at(60, 1.0)]
    )
    if summarised:
        await summarise(stores, database)
    answer = await ask(client, DISCARD_BUCKETS, ADMIN, **A_WHILE)
    minutes = [f"2024-03-28T12:0{minute}:00Z" for minute in range(4)]
    first = [{"reason": "MALFORMED", "count": 1}, {"reason": "TOO_OLD", "count": 2}]
    assert answer["data"]["discardBuckets"] == [
        {"start": minutes[0], "end": minutes[1], "count": 3, "byReason": first},
        {"start": minutes[1], "end": minutes[2], "count": 0, "byReason": []},
        {"start": minutes[2], "end": minutes[3], "count": 1, "byReason": [{"reason": "DUPLICATE", "count": 1}]},
    ]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ({"source": "sensors"}, 3),
        ({"series": "a"}, 3),
        ({"source": "sensors", "series": "a"}, 2),
        ({"source": "sensors", "series": None}, 3),
        ({"source": "nowhere"}, 0),
        ({"series": ""}, 0),
    ],
)
async def test_discards_are_counted_of_a_source_and_of_a_series(
    client: httpx.AsyncClient, stores: Stores, of: dict[str, str | None], expected: int
) -> None:
    for source, series in (("sensors", "a"), ("sensors", "a"), ("sensors", None), ("data_server", "a")):
        await store(stores, [discarded(1, Reason.SYSTEM, source=source, series=series)])
    answer = await ask(client, DISCARD_BUCKETS, ADMIN, **A_WHILE, **of)
    assert answer["data"]["discardBuckets"][0]["count"] == expected


async def test_too_many_buckets_of_discards_are_refused_with_what_fits(client: httpx.AsyncClient) -> None:
    asked = A_WHILE | {"end": "2025-03-28T12:02:00Z"}
    answer = await ask(client, DISCARD_BUCKETS, ADMIN, **asked)
    assert "PT1M gives more than 10000 buckets; PT1H fits" in answer["errors"][0]["message"]
    assert code(answer) == "INVALID_INTERVAL"


async def test_a_sum_beyond_a_double_is_an_error_only_where_it_is_asked_for(
    client: httpx.AsyncClient, stores: Stores
) -> None:
    await store(stores, [at(0, 1.7e308), at(1, 1.7e308)])
    query = '{ buckets(start: "2024-03-28T12:00:00Z", end: "2024-03-28T12:00:01Z", interval: "1h") { %s } }'
    assert (await ask(client, query % "count avg"))["data"]["buckets"] == [{"count": 2, "avg": 1.7e308}]
    answer = await ask(client, query % "sum")
    assert "beyond a double" in answer["errors"][0]["message"]
    assert code(answer) == "INVALID_INTERVAL"


async def test_few_points_are_all_sampled(client: httpx.AsyncClient, stores: Stores) -> None:
    await store(stores, [at(second, second / 4) for second in range(8)])
    sampled = (await ask(client, SAMPLED, width=2))["data"]["sampled"]
    assert (sampled["sourceCount"], sampled["exact"]) == (8, True)
    assert [each["value"] for each in sampled["points"]] == [second / 4 for second in range(8)]


@pytest.mark.parametrize("most_read", [0, 10_000])
async def test_of_many_the_first_last_least_and_greatest_of_each_span_are(
    client: httpx.AsyncClient, stores: Stores, database: Database, monkeypatch: pytest.MonkeyPatch, most_read: int
) -> None:
    monkeypatch.setattr("datacosmos.store.summaries.summaries.MOST_READ", most_read)
    values = [0.0, 5.0, 1.0, -5.0, 2.0, 0.5] * 20
    await store(stores, [at(10 * number, value) for number, value in enumerate(values)])
    await summarise(stores, database)
    sampled = (await ask(client, SAMPLED, width=2))["data"]["sampled"]
    assert (sampled["sourceCount"], sampled["exact"]) == (120, False)
    assert [each["value"] for each in sampled["points"]] == [0.0, 5.0, -5.0, 0.5] * 2


async def test_samples_are_points_with_all_their_fields(client: httpx.AsyncClient, stores: Stores) -> None:
    await store(stores, [at(0, 1.0, tags=("a",)), at(1, 2.0)])
    answer = await ask(client, "{ sampled { points { ...all } } } fragment all on Point { value tags receivedAt }")
    assert answer["data"]["sampled"]["points"] == [
        {"value": 1.0, "tags": ["a"], "receivedAt": "2024-03-28T12:00:00Z"},
        {"value": 2.0, "tags": [], "receivedAt": "2024-03-28T12:00:00Z"},
    ]


async def test_of_a_series_without_points_nothing_is_sampled(client: httpx.AsyncClient) -> None:
    assert (await ask(client, SAMPLED, width=2))["data"]["sampled"] == {"points": [], "sourceCount": 0, "exact": True}
    assert code(await ask(client, SAMPLED, width=0)) == "INVALID_INTERVAL"


async def test_the_newest_points_come_in_the_order_asked_for(client: httpx.AsyncClient, stores: Stores) -> None:
    await store(
        stores,
        [
            at(2, 2.0),
            at(1, 1.0),
            point(NOON + 9 * SECOND, Reason.SUSPECT),
            at(5, 5.0, series="sensors/b"),
            at(4, 4.0, series="sensors/b"),
        ],
    )
    query = "query($series: [String!]!) { latest(series: $series) { series value tags } }"
    answer = await ask(client, query, USER, series=["sensors/b", "sensors/none", "datacosmos"])
    assert answer == {
        "data": {
            "latest": [
                {"series": "sensors/b", "value": 5.0, "tags": []},
                None,
                {"series": "datacosmos", "value": 2.0, "tags": []},
            ]
        }
    }


async def test_the_newest_points_cost_a_seek_each_however_many_there_are(
    client: httpx.AsyncClient, stores: Stores, database: Database
) -> None:
    await store(stores, [at(number, float(number), series=f"series {number % 5}") for number in range(500)])
    await database.command("profile", 2)
    query = "query($series: [String!]!) { latest(series: $series) { value tags } }"
    answer = await ask(client, query, USER, series=[f"series {number}" for number in range(5)])
    await database.command("profile", 0)
    assert [each["value"] for each in answer["data"]["latest"]] == [495, 496, 497, 498, 499]
    steps = [each async for each in database["system.profile"].find({"ns": f"{database.name}.points"})]
    assert sum(step["keysExamined"] for step in steps) <= 20
    assert sum(step["docsExamined"] for step in steps) <= 5


async def test_the_newest_point_of_a_series_that_may_not_be_read_is_null_with_an_error(
    client: httpx.AsyncClient, stores: Stores
) -> None:
    await store(stores, [at(2, 2.0), at(5, 5.0, series="sensors/b")])
    answer = await ask(client, '{ latest(series: ["sensors/b", "datacosmos", "sensors/c"]) { value } }')
    assert answer["data"] == {"latest": [None, {"value": 2.0}, None]}
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        (["latest", 0], "UNAUTHENTICATED"),
        (["latest", 2], "UNAUTHENTICATED"),
    ]


async def test_a_series_tells_its_extent_and_is_null_where_there_is_none(
    client: httpx.AsyncClient, stores: Stores
) -> None:
    await store(stores, [at(2, 2.0), at(1, 1.0), at(3, 3.0)])
    query = """query($name: String!) { series(name: $name) {
      name source first last { value } count points { value } sampled(width: 1) { sourceCount }
      buckets(start: "2024-03-28T12:00:00Z", end: "2024-03-28T12:00:59Z", interval: "1m") { avg }
    } }"""
    assert (await ask(client, query, name="datacosmos"))["data"]["series"] == {
        "name": "datacosmos",
        "source": "data_server",
        "first": "2024-03-28T12:00:01Z",
        "last": {"value": 3.0},
        "count": 3,
        "points": [{"value": 1.0}, {"value": 2.0}, {"value": 3.0}],
        "sampled": {"sourceCount": 3},
        "buckets": [{"avg": 2.0}],
    }
    assert (await ask(client, query, USER, name="sensors/none"))["data"]["series"] is None
    assert code(await ask(client, query, name="sensors/none")) == "UNAUTHENTICATED"


async def test_series_are_found_by_a_part_of_their_name_and_paged_both_ways(
    client: httpx.AsyncClient, stores: Stores
) -> None:
    names = ["sensors/ALPHA", "sensors/alpha.2", "sensors/beta", "sensors/Ölpha"]
    await store(stores, [at(1, 1.0, series=name) for name in names])

    async def page(**asked: Any) -> tuple[list[str], dict[str, Any]]:
        connection = (await ask(client, PAGE, USER, **asked))["data"]["seriesConnection"]
        return [edge["node"]["name"] for edge in connection["edges"]], connection["pageInfo"]

    assert (await page())[0] == names
    assert (await page(search="alpha"))[0] == names[:2]
    assert (await page(search="a.2"))[0] == names[1:2]
    assert (await page(search="ölp"))[0] == names[3:]
    for pattern in ("%", "_", "*", ".*", "a?2", "[a]", "^sensors", "beta$", "\\", "\0", "alpha|beta"):
        assert (await page(search=pattern))[0] == []
    first, info = await page(first=3)
    assert (first, info["hasNextPage"], info["hasPreviousPage"]) == (names[:3], True, False)
    assert (await page(first=3, after=info["endCursor"]))[0] == names[3:]
    last, info = await page(last=2)
    assert (last, info["hasNextPage"], info["hasPreviousPage"]) == (names[2:], False, True)
    before, info = await page(last=3, before=info["startCursor"])
    assert (before, info["hasNextPage"], info["hasPreviousPage"]) == (names[:2], True, False)
    assert code(await ask(client, PAGE, USER, first=1, last=1)) == "INVALID_PAGE"
    assert code(await ask(client, PAGE, USER, first=0)) == "INVALID_PAGE"
    assert code(await ask(client, PAGE, USER, after="rubbish")) == "INVALID_CURSOR"


async def test_a_series_that_several_sources_store_into_is_one_and_found_by_each(
    client: httpx.AsyncClient, stores: Stores, database: Database
) -> None:
    for seconds, source in ((1, "north"), (3, "south"), (2, "north"), (0, "south")):
        await store(stores, [at(seconds, float(seconds), source=source)])
    other = Stores.of(database)  # another process
    await store(other, [at(4, 4.0, source="east")])
    query = """query($source: String, $search: String) { seriesConnection(source: $source, search: $search) {
      totalCount edges { node { name source first last { value } count } }
    } }"""
    node = {
        "name": "datacosmos",
        "source": "north",
        "first": "2024-03-28T12:00:00Z",
        "last": {"value": 4.0},
        "count": 5,
    }
    for source, search in itertools.product((None, "north", "south", "east"), (None, "COSMOS")):
        found = (await ask(client, query, source=source, search=search))["data"]["seriesConnection"]
        assert found == {"totalCount": 1, "edges": [{"node": node}]}
    for source in ("west", ""):
        assert (await ask(client, query, source=source))["data"]["seriesConnection"]["edges"] == []


async def test_the_ends_of_a_page_of_series_are_read_together(
    client: httpx.AsyncClient, stores: Stores, database: Database
) -> None:
    await store(stores, [at(number, float(number), series=f"series {number % 30}") for number in range(90)])
    await database.command("profile", 2)
    page = await ask(client, "{ seriesConnection { edges { node { first last { value } } } } }", USER)
    await database.command("profile", 0)
    nodes = [edge["node"] for edge in page["data"]["seriesConnection"]["edges"]]
    assert sorted(node["last"]["value"] for node in nodes) == [*range(60, 90)]
    assert sorted(node["first"] for node in nodes) == [f"2024-03-28T12:00:{second:02}Z" for second in range(30)]
    assert await database["system.profile"].count_documents({"ns": f"{database.name}.points"}) <= 4


async def test_without_a_token_only_public_series_are_found(client: httpx.AsyncClient, stores: Stores) -> None:
    await store(stores, [at(1, 1.0, series=name) for name in ("datacosmos", "sensors/a")])
    found = (await ask(client, PAGE))["data"]["seriesConnection"]["edges"]
    assert [edge["node"] for edge in found] == [{"name": "datacosmos", "source": "data_server"}]
    assert len((await ask(client, PAGE, ADMIN))["data"]["seriesConnection"]["edges"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        "{ seriesConnection { edges { cursor } } }",
        "{ storedSeriesConnection { edges { cursor } } }",
        '{ storedSeries(name: "a") { name } }',
    ],
)
async def test_a_wrong_token_is_told_where_fewer_series_would_be_found_without_one(
    client: httpx.AsyncClient, query: str
) -> None:
    assert code(await ask(client, query, "no.token.at.all")) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "query",
    [
        '{ buckets(start: "2024-03-28T12:00:00Z", end: "2024-03-28T12:00:01Z", interval: "1h") { count } }',
        "{ sampled { exact } }",
        "{ latest { value } }",
        '{ series(name: "datacosmos") { name } }',
        "{ seriesConnection { edges { cursor } } }",
    ],
)
async def test_while_mongodb_is_unavailable_each_question_says_so(settings: Any, query: str) -> None:
    async with client_without_store(settings) as client:
        assert code(await ask(client, query)) == "UNAVAILABLE"


async def test_while_mongodb_is_unavailable_it_is_asked_once(
    settings: Settings, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    async def refuse(_: object, series: Any) -> Any:
        asked.append(series)
        raise StoreUnavailable("MongoDB is unavailable")

    monkeypatch.setattr(Points, "latest", refuse)
    monkeypatch.setattr(Names, "has", refuse)
    async with client_of(app_of(settings, stores)) as client:
        answer = await ask(client, '{ latest { value } points(series: "datacosmos") { value } __typename }')
    assert asked == [["datacosmos"]]
    assert [(each["path"], each["extensions"]["code"]) for each in answer["errors"]] == [(["latest"], "UNAVAILABLE")]
