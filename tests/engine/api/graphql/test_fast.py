"""The fast way against Strawberry's own, over one store: no byte of any answer may differ."""

import gc
import gzip
import tracemalloc
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any, NamedTuple
from weakref import WeakSet

import httpx
import orjson
import pytest
from fastapi import FastAPI
from graphql import get_introspection_query
from graphql.execution import Executor
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from datacosmos.api.graphql.cursors import Kind, encode_cursor
from datacosmos.api.graphql.fast import documents, objects, operations
from datacosmos.api.graphql.fast.plans import Plan
from datacosmos.api.graphql.http import PATH
from datacosmos.api.graphql.listings import Listing, Page
from datacosmos.api.graphql.routes import graphql_routes
from datacosmos.api.lists import spool
from datacosmos.auth.permissions import AccessControl
from datacosmos.domain.minutes import Location
from datacosmos.domain.points import Point, Reason
from datacosmos.http.middleware import Requests
from datacosmos.http.shortcut import Shortcut
from datacosmos.settings import Settings
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.batches import Batch
from datacosmos.store.mongo.connection import Database, Document
from datacosmos.store.mongo.finding import Finder, Reading
from datacosmos.store.mongo.ranges import Position
from datacosmos.store.points.documents import to_document
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, OURS, SECOND, USER, ask, bearer, client_of, endpoint_of, point

MILLISECOND = timedelta(milliseconds=1)
LIMIT = 12


class Both(NamedTuple):
    """Two APIs over one store."""

    fast: httpx.AsyncClient
    plain: httpx.AsyncClient

    async def ask(self, query: str, who: str | None = None, **variables: Any) -> httpx.Response:
        """The fast answer, which is the plain one too."""
        body = {"query": query, "variables": variables}
        headers = bearer(who) | {"X-Request-ID": "one-for-both"}
        clients = (self.fast, self.fast, self.plain)
        answers = [await client.post("/graphql", json=body, headers=headers) for client in clients]
        first, again, plain = ((answer.status_code, answer.headers.raw, answer.content) for answer in answers)
        assert first == again == plain
        return answers[0]


def app(settings: Settings, stores: Stores, *, fast: bool) -> ASGIApp:
    """The fast one as it is served, by the shortcut that leads past the routes."""
    app = FastAPI()
    access = AccessControl([OURS], frozenset(SERIES), open_ingest=True)
    endpoint = endpoint_of(settings, stores, access, fast=fast)
    app.include_router(graphql_routes(endpoint))
    app.add_middleware(Requests)
    return Shortcut(app, PATH, endpoint.usual) if fast else app


@pytest.fixture
async def both(settings: Settings, stores: Stores) -> AsyncGenerator[Both]:
    settings = settings.model_copy(update={"max_points": LIMIT, "max_request_bytes": 1 << 16})
    async with (
        client_of(app(settings, stores, fast=True)) as fast,
        client_of(app(settings, stores, fast=False)) as plain,
    ):
        yield Both(fast, plain)


SERIES = ["datacosmos", "many", "full", "fewer", "odd", "one", "whole", "late", "none"]


def sensor(number: int, **changes: Any) -> Point:
    reading: dict[str, Any] = {"source": "sensors", "series": "sensors/s1", "sent_value": 32.5 + number / 3} | changes
    return replace(point(NOON + number * SECOND, value=number / 3, **reading), id=f"delivery/{number}")


def everything() -> list[Point]:
    values = [0.1, -0.0, 1e300, 5e-324, 3.0, -12345.678]
    plain = [
        point(NOON + n // 2 * 500 * MILLISECOND, value=value, tags=("a", 'ü"%b\\')[: n % 3], at=NOON + n * MILLISECOND)
        for n, value in enumerate(values)
    ]
    discards = [
        point(NOON, Reason.TOO_OLD, Reason.SYSTEM, raw="{ü}".encode(), tags=("system",)),
        point(None, Reason.MALFORMED, series=None, value=None, raw=b"\xff\x00", faults=("no time", "%s")),
        replace(point(NOON, Reason.DUPLICATE, at=NOON + SECOND, value=1.5), duplicate_of="id-of-the-winner"),
    ]
    return [
        *plain,
        *discards,
        *(
            point(NOON + n * MILLISECOND, value=float(n), series=series)
            for series, count in (("many", LIMIT + 1), ("full", LIMIT), ("fewer", LIMIT - 1))
            for n in range(count)
        ),
        point(NOON - SECOND, series="odd"),
        point(NOON, series="odd", value=float("nan")),
        point(NOON, series="one", value=float("inf")),
        point(NOON.replace(year=9999, month=12, day=31), series="late"),
        *(sensor(n) for n in range(8, 12)),
    ]


def locations() -> list[Location]:
    """Two minutes of ada's, one without a known speed, and one more than a list may hold of bob's."""
    ada = [location("ada", 0), location("ada", 0), location("ada", 0.5, lat=-1e-7), location("ada", 60, speed=None)]
    return [*ada, *(location("bob", 60 * minute) for minute in range(LIMIT + 1))]


def location(user: str, seconds: float, **changes: Any) -> Location:
    sent = NOON + seconds * SECOND
    where: dict[str, Any] = {"lat": 40.7, "long": -73.9, "accuracy": 11.3, "speed": 1.4}
    return Location(user_id=user, sent=sent, time=sent, **(where | changes))


@pytest.fixture
async def stored(points: Points, minutes: Minutes, database: Database) -> None:
    await points.add(everything())
    whole = [to_document(point(NOON + n * SECOND, series="whole")) | {"value": n} for n in range(3)]
    await database["points"].insert_many(whole)  # whole numbers, as another program may have stored them
    bare = to_document(point(NOON, Reason.SUSPECT))
    del bare["raw"]
    await database["points"].insert_one(bare)  # likewise
    for each in locations():
        await minutes.fold(each)


# Queries at random

NAMES = st.sampled_from(["a", "b", "time", "value"])
CONDITIONS = st.sampled_from(
    ["", "", "", "", " @skip(if: $yes)", " @include(if: $no)", " @skip(if: $no) @include(if: true)"]
)
POINT = ["id", "series", "time", "value", "tags", "receivedAt", "__typename"]
PREVIEWS = ["rawPreview", "a: rawPreview(length: 2)", "b: rawPreview(length: -1)", "time: rawPreview(length: $first)"]
DISCARD = [*POINT, "source", "reason", "reasons", "faults", "duplicateOf", "raw", "rawBase64", *PREVIEWS]
READING = ["sensorId", "time", "temperatureC", "temperatureF", "__typename"]
MINUTE = ["minute", "lat", "long", "accuracy", "speed", "count", "duplicates", "__typename"]
PAGE_INFO = ["hasNextPage", "hasPreviousPage", "startCursor", "endCursor", "__typename"]
TIMES = [f'"2024-03-28T12:00:0{second}Z"' for second in ("0", "0.5", "1", "2", "9")] + [
    '"noon"',
    "null",
    "5",
    "$time",
    "$end",
]


@st.composite
def selections(draw: st.DrawFn, type_: str, fields: Sequence[str | st.SearchStrategy[str]]) -> str:
    """Some fields in braces: under other names, in fragments, and left out on a condition."""
    parts: list[str] = []
    for each in draw(st.lists(st.sampled_from(fields), min_size=1, max_size=5)):
        text = each if isinstance(each, str) else draw(each)
        alias = draw(st.sampled_from(["", "", "", f"{draw(NAMES)}: "]))
        name, brace, rest = text.partition(" {")
        field = f"{alias}{name}{draw(CONDITIONS)}{brace}{rest}"
        form = draw(st.sampled_from(["", "", "", "...", f"... on {type_}"]))
        parts.append(f"{form}{draw(CONDITIONS)} {{ {field} }}" if form else field)
    return "{ " + " ".join(parts) + " }"


def edges(type_: str, fields: Sequence[str | st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    node = selections(type_, fields).map("node {}".format)
    return selections(f"{type_}Edge", ["cursor", "__typename", node]).map("edges {}".format)


def pages(type_: str, fields: Sequence[str | st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    info = selections("PageInfo", PAGE_INFO).map("pageInfo {}".format)
    return selections(f"{type_}Connection", [edges(type_, fields), info, "__typename", "totalCount"])


@st.composite
def arguments(draw: st.DrawFn, **choices: Sequence[str]) -> str:
    chosen = draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=3)) if choices else []
    texts = [f"{name}: {draw(st.sampled_from(choices[name]))}" for name in chosen]
    return f"({', '.join(texts)})" if texts else ""


WINDOW = {"start": TIMES, "end": TIMES}
CHOSEN = {
    "series": [
        *('"many"', '"full"', '"fewer"', '"odd"', '"one"', '"whole"', '"late"', '"none"', '"private"'),
        *("$series", "$name", "$name", '"da\\u0074acosmos"', "7"),
    ]
} | WINDOW
UNFAILING = ['"late"', '"none"', '"private"']
CURSORS = ['"x"', "null", '"cG9pbnRzfDB8eA=="'] + [
    f'"{encode_cursor(kind, Position(NOON + n * SECOND, "id"))}"' for kind in Kind for n in (0, 1, 2)
]
PAGED = {
    "first": ["1", "2", "5", "11", "12", "13", "$first", "$page", "0", "99", '"2"'],
    "after": CURSORS,
    "last": ["1", "2", "3", "12", "$first", "$page", "0", "99", "null"],
    "before": CURSORS,
}
ORDERED = {"order": ["DESCENDING", "DESCENDING", "ASCENDING", "$order", "$way", '"DESCENDING"', "null"]}
FILTERS = {
    "where": [
        "null",
        "{}",
        "{valueFrom: 0}",
        "{valueFrom: 0.1, valueTo: 3}",
        "{valueTo: $high, valueFrom: -1e5}",
        '{anyTag: ["a", "b"]}',
        '{anyTag: "a", noTag: ["ü\\"%b\\\\"], valueTo: 9}',
        '{noTag: ["a"]}',
        "{anyTag: [], noTag: null}",
        "{valueFrom: 2, valueTo: 1}",
        '{valueFrom: "1"}',
        "$where",
    ]
}
REASONS = {"reason": ["SYSTEM", '"SYSTEM"', "MALFORMED"], "source": ['"data_server"', '"x"']} | WINDOW
NEEDED = {
    "sensorReadings": 'sensorId: "s1"',
    "locations": 'userId: "ada"',
    "series": 'name: "many"',
    "latest": 'series: ["many"]',
}
ROOTS = [
    ("points", CHOSEN | ORDERED | FILTERS, selections("Point", POINT)),
    ("pointsConnection", CHOSEN | PAGED | FILTERS, pages("Point", POINT)),
    ("discards", REASONS | ORDERED, selections("Discard", DISCARD)),
    ("discardsConnection", REASONS | PAGED, pages("Discard", DISCARD)),
    ("locations", {"userId": ['"ada"', '"ada"', '"bob"', "$user"], **WINDOW}, selections("LocationMinute", MINUTE)),
    ("sensorReadings", {"sensorId": ['"s1"', '"s1"', '"%"', "$user"], **WINDOW}, selections("SensorReading", READING)),
]


SPAN = 'start: "2024-03-28T12:00:00Z", end: "2024-03-28T12:00:03Z"'
BUCKET = ["start", "end", "count", "avg", "min", "max", "sum", "first", "last", "__typename"]
COUNTS = selections("ReasonCount", ["reason", "count", "__typename"]).map("byReason {}".format)
OF_SERIES = [
    "name",
    "source",
    "first",
    "count",
    "__typename",
    selections("Point", POINT).map("last {}".format),
    selections("Point", POINT).map("points {}".format),
    selections("Bucket", BUCKET).map(f'buckets({SPAN}, interval: "1s") {{}}'.format),
]
SAMPLED = [selections("Point", POINT).map("points {}".format), "sourceCount", "exact", "__typename"]
SPANS = {"start": TIMES[:5], "end": TIMES[:5], "interval": ['"1s"', '"PT0.5S"', '"P1M"', '"1x"', '"PT0.0001S"']}
CHARTS = [
    ("buckets", SPANS | {"series": CHOSEN["series"], "timeZone": ['"UTC"', '"x"']}, selections("Bucket", BUCKET)),
    ("sampled", CHOSEN | {"width": ["1", "2", "1000", "0", "$page"]}, selections("Sampled", SAMPLED)),
    ("latest", {"series": ['"odd"', '["many", "late"]', '["none", "one"]', '["private"]']}, selections("Point", POINT)),
    ("series", {"name": ['"many"', '"none"', '"sensors/s1"']}, selections("Series", OF_SERIES)),
    ("seriesConnection", PAGED | {"search": ['"n"', '"%"']}, pages("Series", OF_SERIES[:5])),
    ("discardBuckets", SPANS, selections("DiscardBucket", ["start", "end", "count", "__typename", COUNTS])),
]
ALL_NEEDED = {"buckets": SPANS, "discardBuckets": SPANS}

VARIABLES = [
    "$time: DateTime",
    '$series: String! = "odd"',
    "$first: Int! = 3",
    "$order: Order! = DESCENDING",
    "$high: Float",
    "$where: PointFilter",
    "$end: DateTime!",
    "$name: String",
    "$user: String!",
    "$page: Int",
    "$way: Order",
]


@st.composite
def queries(draw: st.DrawFn, roots: Sequence[Any] = ROOTS) -> str:
    fields: list[str] = []
    for number, (name, choices, inside) in enumerate(draw(st.lists(st.sampled_from(roots), min_size=1, max_size=2))):
        if number and "series" in choices:  # which of two failures nulls the whole answer is a matter of luck
            choices = choices | {"series": UNFAILING}  # noqa: PLW2901
        alias = draw(st.sampled_from(["", "first: ", "second: "]))
        given = draw(arguments(**choices))
        if name in NEEDED and NEEDED[name].partition(":")[0] not in given:
            given = f"({NEEDED[name]})"
        if name in ALL_NEEDED:
            some = ", ".join(f"{each}: {draw(st.sampled_from(of))}" for each, of in ALL_NEEDED[name].items())
            given = f"({some})"
        fields.append(f"{alias}{name}{given}{draw(CONDITIONS)} {draw(inside)}")
    used = [part for part in ("$yes: Boolean!", "$no: Boolean!") if part.split(":")[0] in " ".join(fields)]
    used += [each for each in VARIABLES if each.split(":")[0] in " ".join(fields)]
    return f"query{'(' + ', '.join(used) + ')' if used else ''} {{ {' '.join(fields)} }}"


VALUES = st.fixed_dictionaries(
    {"yes": st.booleans(), "no": st.booleans()},
    optional={
        "time": st.sampled_from(["2024-03-28T12:00:01Z", "noon", None, 5]),
        "end": st.sampled_from(["2024-03-28T12:00:01Z", "2024-03-28T13:00:00.5+01:00", "noon", None]),
        "name": st.sampled_from([*SERIES, "private", None, 7]),
        "user": st.sampled_from(["ada", "s1", None, 7]),
        "page": st.sampled_from([1, 4, LIMIT - 1, LIMIT, LIMIT + 1, 0, None, "x"]),
        "way": st.sampled_from(["ASCENDING", "DESCENDING", "UP", None]),
        "series": st.sampled_from(["datacosmos", "many", None, 7]),
        "first": st.sampled_from([1, 4, 0, "x"]),
        "high": st.sampled_from([1, 0.1, "x", None]),
        "where": st.sampled_from([None, {}, {"valueFrom": 1}, {"noTag": ["a"]}, {"anyTag": "a"}, {"valueTo": "x"}, 5]),
        "order": st.sampled_from(["ASCENDING", "DESCENDING", "UP", None]),
    },
)


@given(queries(), VALUES, st.sampled_from([None, USER, ADMIN, ADMIN]))
@examples(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_both_ways_give_the_same_bytes(
    both: Both, stored: None, query: str, variables: dict[str, Any], who: str | None
) -> None:
    with capture_logs():
        await both.ask(query, who, **variables)


@given(queries(CHARTS), VALUES, st.sampled_from([None, USER, ADMIN, ADMIN]))
@examples(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_both_ways_give_the_same_charts(
    both: Both, stored: None, query: str, variables: dict[str, Any], who: str | None
) -> None:
    with capture_logs():
        await both.ask(query, who, **variables)


# Queries that were worth thinking of

ONE_BY_ONE = [
    f'{{ buckets({SPAN}, interval: "1s") {{ start end count avg min max sum first last b: __typename }} }}',
    f'{{ buckets({SPAN}, interval: "PT0.25S", series: "many") {{ t: start ... on Bucket {{ start count }} }} }}',
    f'{{ buckets({SPAN}, interval: "1s", series: "private") {{ start }} latest(series: ["many"]) {{ time }} }}',
    f'{{ series(name: "many") {{ name last {{ time }} buckets({SPAN}, interval: "1s") {{ count avg }} }} }}',
    f'{{ discardBuckets({SPAN}, interval: "1s") {{ start count byReason {{ reason count }} }} }}',
    f'{{ buckets({SPAN}, interval: "1s") {{ start @skip(if: true) }} }}',
    f'{{ discardBuckets({SPAN}, interval: "1s") {{ byReason {{ count @include(if: false) }} start }} }}',
    '{ latest(series: ["many", "none"]) { time @skip(if: true) } points { time @skip(if: true) } }',
    '{ sampled(series: "many", width: 1) { points { time value series } sourceCount exact } }',
    '{ sampled(series: "many") { points { id tags receivedAt } } b: sampled(series: "none") { points { id } } }',
    '{ latest(series: ["many", "none", "late", "odd"]) { id series time value tags receivedAt __typename } }',
    '{ latest(series: ["many", "private", "odd"]) { time } points { time } }',
    "{ seriesConnection { edges { cursor node { name source __typename } } pageInfo { endCursor } totalCount } }",
    "{ seriesConnection { edges { node { name count last { time } } } } }",
    '{ points(series: "odd") { time } }',
    '{ points(series: "odd") { value } }',
    '{ points(series: "one") { time value tags } }',
    '{ pointsConnection(series: "odd") { edges { cursor node { v: value } } pageInfo { endCursor } } }',
    '{ pointsConnection(series: "odd", first: 1) { edges { node { value } } pageInfo { hasNextPage endCursor } } }',
    '{ points(series: "late") { time } pointsConnection(series: "late") { pageInfo { startCursor } } }',
    '{ points(series: "many") { time } }',
    '{ points(series: "full") { time value } fewer: points(series: "fewer") { time tags } }',
    '{ points(series: "whole") { time value } }',
    '{ points(series: "whole") { value tags } }',
    '{ points(series: "none") { time value } }',
    '{ pointsConnection(series: "none") { edges { cursor } pageInfo { endCursor } } }',
    "{ pointsConnection { a: edges { cursor } b: edges { node { value tags } } __typename } }",
    "{ pointsConnection(last: 3) { edges { cursor node { id value } } pageInfo { hasPreviousPage startCursor } } }",
    "{ pointsConnection(last: 5) { a: edges { node { value tags } } b: edges { cursor } pageInfo { endCursor } } }",
    "{ discardsConnection(last: 2) { edges { cursor node { id raw } } pageInfo { startCursor endCursor } } }",
    '{ pointsConnection(series: "many", last: 12) { edges { node { value } } pageInfo { startCursor endCursor } } }',
    '{ pointsConnection(series: "odd", last: 2) { edges { node { value } } pageInfo { startCursor endCursor } } }',
    '{ pointsConnection(series: "none", last: 2) { edges { cursor } pageInfo { startCursor hasNextPage } } }',
    "{ pointsConnection(first: 3, last: 3) { edges { cursor } } }",
    "{ points(order: DESCENDING) { id time value } discards(order: DESCENDING) { id } }",
    '{ points(series: "many", order: DESCENDING) { time } }',
    '{ series(name: "datacosmos") { points(order: DESCENDING) { id time } } }',
    "{ pointsConnection(first: 2) { n: totalCount edges { cursor } totalCount } }",
    '{ pointsConnection(series: "odd", where: {valueTo: 3}) { totalCount edges { node { value } } } }',
    "{ discardsConnection(last: 2) { edges { cursor } totalCount pageInfo { startCursor } __typename } }",
    "{ points(where: {valueFrom: 0.1, valueTo: 3}) { value } }",
    '{ points(where: {anyTag: ["a"]}) { time value } }',
    '{ points(where: {noTag: ["a"]}, order: DESCENDING) { time tags } }',
    '{ points(series: "odd", where: {valueFrom: -1e308}) { value } }',
    '{ points(series: "one", where: {valueFrom: 0}) { value } }',
    '{ pointsConnection(last: 2, where: {anyTag: ["a"]}) { edges { cursor } pageInfo { startCursor } } }',
    "{ pointsConnection { a: edges { node { time } } edges { node { time } node { value } } } }",
    '{ points(start: "2024-03-28T12:00:01Z", end: "2024-03-28T12:00:00Z") { time } }',
    '# "a comment"\n{ points(series: """datacosmos""") { time } }',
    '{ points(series: "da\\u0074acosmos") { time } }',
    '{ discards(reason: "SYSTEM") { id } }',
    '{ locations(userId: "ada") { __typename t: minute lat speed count duplicates } }',
    '{ locations(userId: "bob") { minute } }',
    '{ locations(userId: "ada", start: "2024-03-28T12:01:00Z", end: "2024-03-28T12:00:00Z") { minute } }',
    '{ a: locations(userId: "ada", end: "2024-03-28T12:00:00Z") { lat } b: locations(userId: "nobody") { lat } }',
    "{ discards(reason: MALFORMED) { raw rawBase64 faults time value } }",
    "{ discards { raw rawPreview(length: 2) } }",
    "query Q($first: Int = 2) { pointsConnection(first: $first) { edges { node { value } } } }",
    "query A { points { time } } query B { points { value } }",
    "query A { points { time } } { points { value } }",
    "query A { nothing } mutation B { points { time } }",
    "mutation { points { time } }",
    '{ a: points(series: "many") { time }\n b: points(start: "x") { time } }',
    '{ points(series: "many", series: "one") { time } }',
    "{ pointsConnection(first: 007) { __typename } }",
    "{ pointsConnection(first: 99999999999) { __typename } }",
    '{ points(series: "one"") { time } }',
    '{ points(series:"fewer"end:"2024-03-28T12:00:00.003Z"where:{anyTag:[]valueTo:5}){time}}',
    '{ points(where: {anyTag: ["a" "b"], noTag: "c", valueFrom: 1}) { time } latest(series: ["many" "odd"]) { id } }',
    "query (5: Int) { points { time } }",
    'query ("x": Int, "y": String = "z") { points(series: $"a") { time } }',
    '{ points(series: "\0") { time } }',
    '{ receipt(deliveryId: 5) { source } b: receipt(deliveryId: "5") { source } }',
    "{ __schema { queryType { name } } __typename }",
    get_introspection_query(),
    "{ ...F } fragment F on Query { points { ...G } } fragment G on Point { time }",
]


@pytest.mark.parametrize("query", ONE_BY_ONE)
@pytest.mark.parametrize("who", [None, ADMIN], ids=["anyone", "admin"])
async def test_both_ways_agree_where_it_is_easy_not_to(both: Both, stored: None, query: str, who: str | None) -> None:
    with capture_logs():
        await both.ask(query, who)


@pytest.mark.parametrize("query", ONE_BY_ONE)
async def test_both_ways_agree_where_lists_are_written_to_a_file_part_by_part(
    both: Both, stored: None, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr("datacosmos.api.lists.parts.PART", 2)
    monkeypatch.setattr(objects, "AT_ONCE", 2)
    monkeypatch.setattr(spool, "KEPT", 40)
    with capture_logs():
        await both.ask(query, ADMIN)


async def test_both_ways_agree_where_counting_takes_too_long(
    both: Both, stored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datacosmos.api.graphql.paging.COUNT_SECONDS", 0)
    answer = await both.ask("{ pointsConnection(first: 2) { totalCount edges { cursor } } points { time } }", ADMIN)
    assert "could not be counted" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "query ($yes: Boolean!) { points { time tags @include(if: $yes) } }",
        "query ($first: Int = 2) { pointsConnection(first: $first) { edges { cursor node { tags } } } }",
        "{ points { time } receipt(deliveryId: 5) { source } __typename }",
        "{ pointsConnection { totalCount edges { cursor } } discardsConnection { totalCount } }",
        f"#{'x' * 5000}\n{{ points {{ time tags }} }}",
    ],
)
async def test_no_form_of_a_query_has_its_lists_read_as_whole_points(
    both: Both, stored: None, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    expected = (await both.ask(query, ADMIN, yes=True)).json()
    monkeypatch.delattr(Listing, "read")
    monkeypatch.delattr(Page, "read")
    assert await ask(both.fast, query, ADMIN, yes=True) == expected


@pytest.mark.parametrize(
    "query",
    [
        f'{{ buckets({SPAN}, interval: "1s") {{ start end count avg sum }} }}',
        f'{{ discardBuckets({SPAN}, interval: "1s") {{ start byReason {{ reason count }} }} }}',
        f'{{ series(name: "many") {{ buckets({SPAN}, interval: "1s") {{ first }} sampled {{ points {{ time }} }} }} }}',
        '{ latest(series: ["many", "none"]) { id tags } sampled(series: "many") { points { time value } exact } }',
        "{ seriesConnection { totalCount edges { cursor node { name } } } }",
    ],
)
async def test_charts_are_not_completed_object_by_object(
    both: Both, stored: None, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    expected = (await both.ask(query, ADMIN)).json()
    assert "errors" not in expected
    monkeypatch.delattr(Executor, "complete_iterable_value")
    assert await ask(both.fast, query, ADMIN) == expected


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("{ points { value } }", {"time", "value"}),
        ("{ points { tags receivedAt } }", {"tags", "received_at"}),
        ("{ points { id } }", {"_id", "time", "value"}),
        ("{ discards { reasons } }", {"reasons"}),
        ("{ discardsConnection { edges { node { rawPreview } } } }", {"raw"}),
        ("{ discardsConnection { pageInfo { endCursor } } }", {"_id", "received_at"}),
    ],
)
async def test_mongodb_is_asked_for_no_more_than_is_selected(
    both: Both, stored: None, monkeypatch: pytest.MonkeyPatch, query: str, fields: set[str]
) -> None:
    commands: list[Document] = []
    read = Finder.read

    def watched(finder: Finder, command: Document, *given: Any, **more: Any) -> Reading[Any]:
        commands.append(command)
        return read(finder, command, *given, **more)

    monkeypatch.setattr(Finder, "read", watched)
    await ask(both.fast, query, ADMIN)
    [command] = commands
    assert {name for name, wanted in command["projection"].items() if wanted} == fields


async def test_a_field_with_an_argument_is_encoded_the_fast_way_too(
    both: Both, stored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Listing, "read")
    text = "query Q($length: Int!) { discards(reason: TOO_OLD) { rawPreview(length: $length) } }"
    assert await ask(both.fast, text, ADMIN, length=2) == {"data": {"discards": [{"rawPreview": "{ü"}]}}


async def test_so_many_plans_are_kept_of_all_queries_together(
    settings: Settings, stores: Stores, stored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: WeakSet[Plan] = WeakSet()

    def watched(*given: Any) -> Plan:
        kept.add(plan := Plan(*given))
        return plan

    monkeypatch.setattr(operations, "Plan", watched)
    monkeypatch.setattr(documents, "MOST_PLANS", 3)
    async with client_of(app(settings, stores, fast=True)) as client:
        for name in ("a", "b"):
            text = f"query Q($length: Int!) {{ {name}: discards {{ rawPreview(length: $length) }} }}"
            for length in (1, 2, 3, 1):
                await ask(client, text, ADMIN, length=length)
        gc.collect()
        assert len(kept) == 3


@pytest.fixture
def traced() -> Generator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("long", ["name", "zone"])
async def test_what_is_kept_of_a_query_holds_no_long_value(both: Both, stored: None, traced: None, long: str) -> None:
    text = "query ($name: String!, $zone: String!) {{ points(series: $name) {{ time }} series(name: $name) {{ {} }} }}"
    buckets = f'buckets({SPAN}, interval: "1s", timeZone: $zone) {{{{ a{{}}: start }}}}'

    async def held_after(numbers: range, **values: str) -> int:
        for number in numbers:
            query = text.format(buckets.format(number))
            await both.fast.post(PATH, json={"query": query, "variables": {"name": "many", "zone": "UTC"} | values})
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    with capture_logs():
        first = await held_after(range(10))
        short = await held_after(range(10, 20))
        assert await held_after(range(20, 30), **{long: "x" * 50_000}) - short < short - first + 5 * 50_000


FIRST = (1, 12, 13, 2147483648)


async def test_literals_of_one_shape_are_taken_for_what_they_are(both: Both, stored: None) -> None:
    """Not for those that came first, nor are errors shown where those would have had them.

    One of them at the most is wrong: of two errors, Strawberry tells the one that comes first.
    """
    page = "pointsConnection(first: {}) {{ __typename }}"
    texts = [
        f'{{ a: points(series: "{series}", start: {start}) {{ time }} {page.format(first)} }}'
        for series, first in (*product(("many", "private", "datacosmos", ""), (1, 12)), *product(("one",), FIRST))
        for start in ('"2024-03-28T12:00:00Z"', '"2024-03-28T13:00:00.000000+01:00"', '"noon"', "null")
    ]
    with capture_logs():
        answers = [await both.ask(text) for text in texts]
    assert len({answer.content for answer in answers}) > 10


async def test_a_variable_that_was_not_sent_is_not_taken_for_a_literal(both: Both, stored: None) -> None:
    for series in ('"many"', "$__literal_string0", "$ __literal_string0", "$__literal_string0 "):
        await both.ask(f"{{ points(series: {series}) {{ time }} }}", __literal_string0="full")


async def test_failures_of_the_store_look_alike(settings: Settings, stores: Stores, database: Database) -> None:
    class Broken(Finder):
        def read(self, command: Document, *_: Any, **__: Any) -> Reading[Any]:
            def fail(_: Batch) -> Any:
                raise RuntimeError(f"the password is hunter2: {command}")

            return super().read(command, fail)

    class Failing(Points):
        """A store with a bug."""

        def __init__(self, database: Database) -> None:
            super().__init__(database)
            self._columns = self._documents = Broken(database, "points")

    broken = replace(stores, points=Failing(database))
    async with (
        client_of(app(settings, broken, fast=True)) as fast,
        client_of(app(settings, broken, fast=False)) as plain,
    ):
        for query in ("{ points { time } }", "{ discards { id } }", "{ pointsConnection { pageInfo { endCursor } } }"):
            with capture_logs() as logged:
                answer = await Both(fast, plain).ask(query, ADMIN)
            assert "hunter2" not in answer.text
            assert [line["event"] for line in logged].count("field failed") == 3


async def parts(*texts: bytes) -> AsyncGenerator[bytes]:
    for text in texts:
        yield text


BODY = orjson.dumps({"query": "{ points { time value } }"})
SENT: dict[str, tuple[dict[str, str], bytes | Sequence[bytes]]] = {
    "usual": ({}, BODY),
    "a byte-order mark": ({}, BOM_UTF8 + BODY),
    "a charset": ({"Content-Type": "Application/JSON; charset=utf-8"}, BODY),
    "no content type": ({"Content-Type": ""}, BODY),
    "a form": ({"Content-Type": "text/plain"}, BODY),
    "GraphQL's own type": ({"Accept": "application/graphql-response+json"}, BODY),
    "GraphQL's own type, for nothing executed": ({"Accept": "application/graphql-response+json"}, b'{"query":"{"}'),
    "another type": ({"Accept": "text/csv"}, BODY),
    "gzip": ({"Content-Encoding": "gzip"}, gzip.compress(BODY)),
    "gzip that is none": ({"Content-Encoding": "gzip"}, BODY),
    "another coding": ({"Content-Encoding": "br"}, BODY),
    "in parts": ({}, (BODY[:9], BODY[9:])),
    "in a part and an end": ({}, (BODY,)),
    "too long": ({}, b" " * 70_000 + BODY),
    "too long, in a part and an end": ({}, (b" " * 70_000 + BODY,)),
    "nothing": ({}, b""),
    "no JSON": ({}, b"{"),
    "no object": ({}, b"5"),
    "a batch": ({}, b"[" + BODY + b"]"),
    "no query": ({}, b"{}"),
    "a blank query": ({}, b'{"query":" "}'),
    "a hash alone": ({}, b'{"extensions":{"persistedQuery":{"version":1}}}'),
    "a hash with a blank query": ({}, b'{"query":"","extensions":{"persistedQuery":{"version":1}}}'),
    "variables that are a list": ({}, b'{"query":"{ points { time } }","variables":[]}'),
    "another operation": ({}, b'{"query":"query A { points { time } }","operationName":"B"}'),
    "a wrong token": ({"Authorization": "Bearer x"}, BODY),
}


@pytest.mark.parametrize("path", ["/graphql", "/graphql?unknown=1"])
@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
async def test_both_ways_agree_on_heads_and_bodies(
    both: Both, stored: None, sent: tuple[dict[str, str], bytes | Sequence[bytes]], path: str
) -> None:
    head, body = sent
    headers = {"Content-Type": "application/json", "X-Request-ID": "one-for-both"} | head
    answers = [
        await client.post(path, content=body if isinstance(body, bytes) else parts(*body), headers=headers)
        for client in (both.fast, both.plain)
    ]
    fast, plain = ((answer.status_code, answer.headers.raw, answer.content) for answer in answers)
    assert fast == plain


def at_once(app: ASGIApp) -> ASGIApp:
    """Gives it the whole body as one message, as uvicorn does where all of a chunked one has come."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        whole = [{"type": "http.request", "body": b"".join(each["body"] for each in messages)}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await app(scope, again, send)

    return answer


@pytest.mark.parametrize(("body", "status"), [(BODY, 200), (b" " * 70_000 + BODY, 413)], ids=["short", "too long"])
async def test_both_ways_agree_on_a_body_of_unknown_length_that_comes_at_once(
    settings: Settings, stores: Stores, stored: None, body: bytes, status: int
) -> None:
    settings = settings.model_copy(update={"max_points": LIMIT, "max_request_bytes": 1 << 16})
    headers = {"Content-Type": "application/json", "X-Request-ID": "one-for-both"}
    found: list[tuple[int, Any, bytes]] = []
    for fast in (True, False):
        async with client_of(at_once(app(settings, stores, fast=fast))) as client:
            answer = await client.post("/graphql", content=parts(body), headers=headers)
            assert "content-length" not in answer.request.headers
            found.append((answer.status_code, answer.headers.raw, answer.content))
    assert found[0] == found[1]
    assert found[0][0] == status
