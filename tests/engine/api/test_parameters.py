"""Query parameters that no route knows, or that say nothing."""

import difflib
from unittest.mock import Mock

import httpx
import pytest

from datacosmos.http.parameters import find_faults
from datacosmos.store.stores import Stores
from tests.asking import NOON, point

PROBLEM = "application/problem+json"
ROUTES = [
    ("GET", "/points", "start"),
    ("GET", "/api/mast", "from"),
    ("GET", "/series", "limit"),
    ("GET", "/series/count", None),
    ("GET", "/series/x", "from"),
    ("GET", "/series/x/metrics", "to"),
    ("GET", "/series/x/forecast", "horizon"),
    ("DELETE", "/series/x", None),
    ("POST", "/series", None),
    ("POST", "/series/x/points", None),
    ("POST", "/api", None),
    ("POST", "/sensors", None),
    ("PUT", "/location", None),
    ("GET", "/", None),
]


def faults(answer: httpx.Response) -> dict[str, str]:
    """The faulty parameters that a problem names, and what it says of each."""
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM), answer.text
    return {error["parameter"]: error["detail"] for error in answer.json()["errors"]}


@pytest.mark.parametrize(("method", "path", "known"), ROUTES)
async def test_a_parameter_that_a_route_does_not_know_is_refused_by_name(
    client: httpx.AsyncClient, method: str, path: str, known: str | None
) -> None:
    told = faults(await client.request(method, f"{path}?nonsense=1"))
    assert told.keys() == {"nonsense"}
    assert (known or "there is none") in told["nonsense"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/points?strat=2030-01-01T00:00:00Z", "start"),
        ("/points?serie=x", "series"),
        ("/series?Limit=5", "limit"),
        ("/series/x/forecast?horizons=5", "horizon"),
        ("/api/x?form=0", "from"),
    ],
)
async def test_a_misspelt_parameter_is_told_how_it_is_spelt(client: httpx.AsyncClient, asked: str, meant: str) -> None:
    [fault] = faults(await client.get(asked)).values()
    assert f"did you mean {meant}?" in fault


def test_a_nearest_name_is_looked_for_once_for_each_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Mock(return_value=[])
    monkeypatch.setattr(difflib, "get_close_matches", looked)
    asked = b"&".join([b"a&b", b"x" * 50] * 1000)
    assert find_faults({"query_string": asked}, ["start"]).keys() == {"a", "b", "x" * 40}
    assert [call.args[0] for call in looked.call_args_list] == ["a", "b", "x" * 40]


async def test_a_range_in_the_words_of_another_route_is_not_everything(client: httpx.AsyncClient) -> None:
    assert "from, to" in faults(await client.get("/api/x?start=2030-01-01T00:00:00Z"))["start"]
    assert "start, end" in faults(await client.get("/points?from=2030-01-01T00:00:00Z"))["from"]


@pytest.mark.parametrize("asked", ["/api/x?to=", "/api/x?to", "/points?to=&end=", "/series?after=", "/points?series="])
async def test_an_empty_parameter_is_refused(client: httpx.AsyncClient, asked: str) -> None:
    assert any("is empty" in fault for fault in faults(await client.get(asked)).values())


async def test_a_parameter_that_takes_one_value_is_given_once(client: httpx.AsyncClient) -> None:
    told = faults(await client.get("/api/x?from=1&to=2&from=3"))
    assert told == {"from": "is given 2 times; once is allowed"}
    assert (await client.get("/series/x/forecast?level=80&level=95")).status_code == 404


async def test_faults_are_many_but_the_answer_is_short(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points?" + "&".join(f"{'x' * 100}{n}=1" for n in range(500)))
    assert answer.status_code == 400
    assert len(answer.content) < 5000


@pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics", "/docs", "/openapi.json"])
async def test_what_watches_or_explains_the_service_may_be_asked_with_any(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"{path}?nonsense=1")).status_code == 200


async def test_graphql_tells_misspelt_and_repeated_parameters(client: httpx.AsyncClient) -> None:
    for asked, said in (
        ("query={__typename}&variable={}", "variable: is no parameter here; did you mean variables?"),
        ("query={__typename}&query={a:__typename}", "query: is given 2 times"),
        ("qurey={__typename}", "did you mean query?"),
    ):
        answer = await client.get(f"/graphql?{asked}")
        assert answer.status_code == 400
        [error] = answer.json()["errors"]
        assert said in error["message"]
    by_post = await client.post("/graphql?query={__typename}", json={"query": "{ __typename }"})
    assert by_post.status_code == 400
    assert "query: is no parameter here" in by_post.json()["errors"][0]["message"]


async def test_what_graphql_leaves_empty_is_left_out(client: httpx.AsyncClient, stores: Stores) -> None:
    await stores.points.add([point(NOON)])
    answer = await client.get("/graphql?query={points{value}}&variables=&operationName=&extensions=")
    assert answer.json() == {"data": {"points": [{"value": 0.5}]}}


async def test_the_playground_opens_with_any(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql?query={&whatever=1", headers={"Accept": "text/html"})
    assert answer.status_code == 200
