"""Every field and every route, asked by everybody."""

import httpx
import pytest
from fastapi import FastAPI
from graphql import build_schema

from datacosmos.api.app import create_app
from datacosmos.api.graphql.schema import print_schema
from datacosmos.domain.points import Reason
from datacosmos.settings import Settings
from datacosmos.store.points import Points
from tests.api.asking import ADMIN, INVALID, NOON, SECRET, USER, ask, bearer, client_of, code, point

PRIVATE = "sensors"
OF_POINTS = {
    "points": "query($series: String!) { points(series: $series) { value } }",
    "pointsConnection": "query($series: String!) { pointsConnection(series: $series) { edges { node { value } } } }",
}
OF_DISCARDS = {
    "discards": "{ discards { id source raw } points { value } }",
    "discardsConnection": "{ discardsConnection { edges { node { id source raw } } } points { value } }",
}
NOBODY = [None, *INVALID.values()]
NOBODIES = ["no token", *INVALID]


@pytest.fixture(autouse=True)
async def stored(points: Points) -> None:
    await points.add([point(value=1.0), point(value=2.0, series=PRIVATE), point(NOON, Reason.SUSPECT, value=3.0)])


def test_each_field_of_the_query_is_tried_here() -> None:
    query = build_schema(print_schema()).query_type
    assert query is not None
    assert set(query.fields) == OF_POINTS.keys() | OF_DISCARDS.keys()
    assert {name for name, field in query.fields.items() if "series" in field.args} == OF_POINTS.keys()


def test_each_route_is_tried_here_or_tells_no_points(app: FastAPI) -> None:
    assert set(app.openapi()["paths"]) == {"/graphql", "/points", "/health", "/health/live", "/metrics"}


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


@pytest.mark.parametrize("field", OF_DISCARDS)
@pytest.mark.parametrize(
    ("who", "expected"),
    [*((who, "UNAUTHENTICATED") for who in NOBODY), (USER, "FORBIDDEN")],
    ids=[*NOBODIES, "user"],
)
async def test_discards_are_null_for_all_but_administrators_while_a_sibling_answers(
    client: httpx.AsyncClient, field: str, who: str | None, expected: str
) -> None:
    answer = await ask(client, OF_DISCARDS[field], who)
    assert code(answer) == expected
    assert answer["errors"][0]["path"] == [field]
    assert answer["data"] == {field: None, "points": [{"value": 1.0}]}


@pytest.mark.parametrize("field", OF_DISCARDS)
async def test_an_administrator_sees_the_discards(client: httpx.AsyncClient, field: str) -> None:
    answer = await ask(client, OF_DISCARDS[field], ADMIN)
    assert "errors" not in answer
    assert "data_server" in str(answer["data"][field])


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


async def test_which_series_are_public_is_a_setting(settings: Settings, points: Points) -> None:
    opened = settings.model_copy(update={"public_series": [PRIVATE]})
    async with client_of(create_app(opened, points=points, secret=SECRET, health={})) as client:
        answer = await ask(client, OF_POINTS["points"], series=PRIVATE)
        assert answer["data"] == {"points": [{"value": 2.0}]}
        assert code(await ask(client, "{ points { value } }")) == "UNAUTHENTICATED"
        assert (await client.get("/points")).status_code == 401
