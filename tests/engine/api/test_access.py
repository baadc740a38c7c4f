"""Every field and every route, asked by everybody."""

from dataclasses import replace

import httpx
import pytest
from graphql import build_schema

from datacosmos.api.graphql.schema import print_schema
from datacosmos.auth.issuers import Role
from datacosmos.domain.points import Reason
from datacosmos.settings import Settings
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import (
    ADMIN,
    INVALID,
    NOON,
    USER,
    app_of,
    ask,
    bearer,
    client_of,
    code,
    point,
    put_location,
    token,
)
from tests.pages import whole

PRIVATE = "sensors"
DAY = 'start: "2024-03-28T00:00:00Z", end: "2024-03-29T00:00:00Z"'
OF_POINTS = {
    "buckets": f'query($series: String!) {{ buckets(series: $series, {DAY}, interval: "P1D") {{ max }} }}',
    "sampled": "query($series: String!) { sampled(series: $series) { points { value } } }",
    "points": "query($series: String!) { points(series: $series) { value } }",
    "pointsConnection": "query($series: String!) { pointsConnection(series: $series) { edges { node { value } } } }",
}
OF_DISCARDS = {
    "discard": '{ discard(id: "a-discard") { id source raw } points { value } }',
    "discardBuckets": f'{{ discardBuckets({DAY}, interval: "P1D") {{ byReason {{ reason }} }} points {{ value }} }}',
    "discards": "{ discards { id source raw } points { value } }",
    "discardsConnection": "{ discardsConnection { edges { node { id source raw } } } points { value } }",
}
OF_ADMINS = OF_DISCARDS | {"ingestion": "{ ingestion { source } points { value } }"}
OF_ANY_TOKEN = {"sensorReadings": '{ sensorReadings(sensorId: "a") { time } points { value } }'}
OF_ITS_SENDER = {"receipt"}  # tried in rest/test_sensors.py
OF_CHARTS = {"latest", "series", "seriesConnection"}  # tried in graphql/test_charts.py
OF_OWNERS = {"storedSeries", "storedSeriesConnection"}  # tried in graphql/test_stored.py
OF_A_USER = {"locations": "query($userId: String!) { locations(userId: $userId) { count } points { value } }"}
BOB = token(Role.USER, subject="bob")
NOBODY = [None, *INVALID.values()]
NOBODIES = ["no token", *INVALID]


@pytest.fixture(autouse=True)
async def stored(points: Points) -> None:
    discarded = replace(point(NOON, Reason.SUSPECT, value=3.0), id="a-discard")
    await points.add([point(value=1.0), point(value=2.0, series=PRIVATE), discarded])


def test_each_field_of_the_query_is_tried_here() -> None:
    query = build_schema(print_schema()).query_type
    assert query is not None
    known = OF_POINTS.keys() | OF_ADMINS.keys() | OF_ANY_TOKEN.keys() | OF_ITS_SENDER | OF_A_USER.keys()
    known |= OF_CHARTS | OF_OWNERS
    assert set(query.fields) == known
    assert {name for name, field in query.fields.items() if "series" in field.args} == OF_POINTS.keys() | {
        "latest",
        "discardBuckets",
    }
    assert {name for name, field in query.fields.items() if "userId" in field.args} == OF_A_USER.keys()


async def test_each_route_is_tried_here_or_tells_no_points(client: httpx.AsyncClient) -> None:
    """Those of series are tried in rest/test_series.py, which looks for itself whether it has them all.

    Those of changes are tried in feed/test_changes.py.
    """
    documented = (await client.get("/openapi.json")).json()["paths"]
    paths = {path for path in documented if not path.startswith(("/series", "/api"))}
    assert paths == {
        "/graphql",
        "/points",
        "/discards",
        "/changes",
        "/changes/discards",
        "/location",
        "/sensors",
        "/health",
        "/health/ready",
        "/health/live",
        "/metrics",
    }


@pytest.mark.parametrize("field", OF_POINTS)
@pytest.mark.parametrize("who", [*NOBODY, USER, ADMIN], ids=[*NOBODIES, "user", "admin"])
async def test_anyone_reads_a_public_series(client: httpx.AsyncClient, field: str, who: str | None) -> None:
    answer = await ask(client, OF_POINTS[field], who, series="datacosmos")
    assert "errors" not in answer
    assert "1.0" in str(answer["data"][field])


@pytest.mark.parametrize("field", OF_POINTS)
@pytest.mark.parametrize("who", NOBODY, ids=NOBODIES)
async def test_a_private_series_needs_a_valid_token(client: httpx.AsyncClient, field: str, who: str | None) -> None:
    answer = await ask(client, OF_POINTS[field], who, series=PRIVATE)
    assert code(answer) == "UNAUTHENTICATED"
    assert answer["data"] is None
    assert code(await ask(client, OF_POINTS[field], who, series="no such series")) == "UNAUTHENTICATED"


@pytest.mark.parametrize("field", OF_POINTS)
@pytest.mark.parametrize("who", [USER, ADMIN], ids=["user", "admin"])
async def test_any_valid_token_opens_a_private_series(client: httpx.AsyncClient, field: str, who: str) -> None:
    answer = await ask(client, OF_POINTS[field], who, series=PRIVATE)
    assert "2.0" in str(answer["data"][field])


@pytest.mark.parametrize("who", NOBODY, ids=NOBODIES)
async def test_the_export_keeps_the_same_rule(client: httpx.AsyncClient, who: str | None) -> None:
    refused = await client.get("/points", params={"series": PRIVATE}, headers=bearer(who))
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"].startswith("Bearer")
    open_to_all = await client.get("/points", headers=bearer(who))
    assert [row["value"] for row in open_to_all.json()] == [1.0]
    opened = await client.get("/points", params={"series": PRIVATE}, headers=bearer(USER))
    assert [row["value"] for row in opened.json()] == [2.0]


@pytest.mark.parametrize("field", OF_ANY_TOKEN)
@pytest.mark.parametrize("who", NOBODY, ids=NOBODIES)
async def test_what_any_token_opens_is_null_without_one_while_a_sibling_answers(
    client: httpx.AsyncClient, field: str, who: str | None
) -> None:
    answer = await ask(client, OF_ANY_TOKEN[field], who)
    assert code(answer) == "UNAUTHENTICATED"
    assert answer["data"] == {field: None, "points": [{"value": 1.0}]}


@pytest.mark.parametrize("field", OF_ADMINS)
@pytest.mark.parametrize(
    ("who", "expected"),
    [*((who, "UNAUTHENTICATED") for who in NOBODY), (USER, "FORBIDDEN")],
    ids=[*NOBODIES, "user"],
)
async def test_discards_and_the_ledger_are_null_for_all_but_administrators_while_a_sibling_answers(
    client: httpx.AsyncClient, field: str, who: str | None, expected: str
) -> None:
    answer = await ask(client, OF_ADMINS[field], who)
    assert code(answer) == expected
    assert answer["errors"][0]["path"] == [field]
    assert answer["data"] == {field: None, "points": [{"value": 1.0}]}


@pytest.mark.parametrize("field", OF_DISCARDS)
async def test_an_administrator_sees_the_discards(client: httpx.AsyncClient, field: str) -> None:
    answer = await ask(client, OF_DISCARDS[field], ADMIN)
    assert "errors" not in answer
    assert answer["data"][field]
    assert "data_server" in str(answer["data"][field]) or "SUSPECT" in str(answer["data"][field])


@pytest.mark.parametrize("field", OF_A_USER)
@pytest.mark.parametrize(
    ("who", "expected"),
    [*((who, "UNAUTHENTICATED") for who in NOBODY), (BOB, "FORBIDDEN")],
    ids=[*NOBODIES, "another user"],
)
async def test_what_is_a_users_is_null_for_all_others_while_a_sibling_answers(
    client: httpx.AsyncClient, field: str, who: str | None, expected: str
) -> None:
    for user in ("ada", "nobody", ""):
        answer = await ask(client, OF_A_USER[field], who, userId=user)
        assert code(answer) == expected
        assert answer["errors"][0]["path"] == [field]
        assert answer["data"] == {field: None, "points": [{"value": 1.0}]}


@pytest.mark.parametrize("field", OF_A_USER)
@pytest.mark.parametrize("who", [USER, ADMIN, token(Role.ADMIN, subject="bob")], ids=["user", "admin", "other admin"])
async def test_a_user_and_an_administrator_see_what_is_the_users(
    client: httpx.AsyncClient, field: str, who: str
) -> None:
    await put_location(client)
    answer = await ask(client, OF_A_USER[field], who, userId="ada")
    assert "errors" not in answer
    assert answer["data"][field] == [{"count": 1}]


@pytest.mark.parametrize("who", [*NOBODY, USER, BOB, ADMIN], ids=[*NOBODIES, "user", "another user", "admin"])
async def test_anyone_pushes_a_location_while_ingest_is_open(client: httpx.AsyncClient, who: str | None) -> None:
    assert (await put_location(client, who)).status_code == 200


@pytest.mark.parametrize(
    ("who", "expected"),
    [*((who, 401) for who in NOBODY), (BOB, 403), (token(Role.ADMIN, subject="bob"), 403), (USER, 200), (ADMIN, 200)],
    ids=[*NOBODIES, "another user", "another admin", "user", "admin"],
)
async def test_once_it_is_closed_only_who_the_location_is_of(
    settings: Settings, stores: Stores, who: str | None, expected: int
) -> None:
    closed = settings.model_copy(update={"open_ingest": False})
    async with client_of(app_of(closed, stores)) as client:
        answer = await put_location(client, who)
        assert answer.status_code == expected
        if expected != 200:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "ada" not in answer.text
            assert await whole(stores.minutes.read("ada", Window(), limit=1)) == []
        if expected == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_error_says_whether_a_token_expired_or_is_wrong(client: httpx.AsyncClient) -> None:
    async def message(who: str | None) -> str:
        return (await ask(client, "{ discards { id } }", who))["errors"][0]["message"]

    assert "Authorization: Bearer" in await message(None)
    assert "expired" in await message(INVALID["expired"])
    assert "none that this service gave out" in await message(INVALID["unsigned"])


@pytest.mark.parametrize("header", ["Basic YWRhOmFkYQ==", "Bearer", "bearer   ", f"Token {ADMIN}", "\xff"])
async def test_another_kind_of_authorization_opens_nothing(client: httpx.AsyncClient, header: str) -> None:
    headers = {b"authorization": header.encode("latin-1")}
    answer = await client.post("/graphql", json={"query": OF_DISCARDS["discards"]}, headers=headers)
    assert code(answer.json()) == "UNAUTHENTICATED"


async def test_no_route_shows_a_discard_to_who_reads_points(client: httpx.AsyncClient) -> None:
    export = await client.get("/points", headers=bearer(USER))
    answers = [await ask(client, query, USER, series="datacosmos") for query in OF_POINTS.values()]
    assert "3.0" not in str([export.text, *answers])


async def test_which_series_are_public_is_a_setting(settings: Settings, stores: Stores) -> None:
    opened = settings.model_copy(update={"public_series": [PRIVATE]})
    async with client_of(app_of(opened, stores)) as client:
        answer = await ask(client, OF_POINTS["points"], series=PRIVATE)
        assert answer["data"] == {"points": [{"value": 2.0}]}
        assert code(await ask(client, "{ points { value } }")) == "UNAUTHENTICATED"
        assert (await client.get("/points")).status_code == 401
