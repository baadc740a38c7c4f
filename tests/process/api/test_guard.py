"""What web pages may ask of a service on their reader's machine."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import LOCATION, app_of, client_of
from tests.browser import browser_page

PAGE = "https://dashboard.example"
PROBLEM = "application/problem+json"
NAMED = [{"name": "mast", "t": 1, "v": 2}]
SENSOR = {"id": "a", "type": "Sensor", "content": {"temperature_f": 1, "time_of_measurement": "2019-06-24T15:00:00"}}
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/api", NAMED),
    ("POST", "/series", {"start": 0, "interval": 1, "values": [1]}),
    ("POST", "/series/x/points", {"start": 0, "interval": 1, "values": [1]}),
    ("POST", "/sensors", SENSOR),
    ("PUT", "/location", LOCATION),
    ("DELETE", "/series/x", None),
    ("POST", "/graphql", {"query": "{ __typename }"}),
]
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8001"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
]
OWN = [
    {},
    {"Origin": "http://localhost"},
    {"Origin": "https://localhost"},  # TLS ends in front of us
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://by.another.name"},
    {"Sec-Fetch-Site": "none"},
]


def client_for(settings: Settings, stores: Stores, **changes: Any) -> httpx.AsyncClient:
    return client_of(app_of(settings.model_copy(update=changes), stores))


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_page_of_another_site_can_not_write(
    client: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    for headers in FOREIGN:
        text = {"Content-Type": "text/plain", **headers}  # for which a browser asks nobody first
        answer = await client.request(method, path, content=json.dumps(body), headers=text)
        assert answer.status_code == 403, headers
        assert answer.headers["x-request-id"]
        if path == "/graphql":
            [error] = answer.json()["errors"]
            assert (error["extensions"]["code"], "another site" in error["message"]) == ("FORBIDDEN", True)
        else:
            assert answer.headers["content-type"] == PROBLEM
            assert "DATACOSMOS_CORS_ORIGINS" in answer.json()["detail"]
    assert (await client.get("/series/count")).json() == {"count": 0}


async def test_pages_of_ours_and_whoever_is_no_browser_write_with_any_content_type(client: httpx.AsyncClient) -> None:
    for number, headers in enumerate(OWN):
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = await client.post("/api", content=json.dumps(NAMED), headers={"Content-Type": kind, **headers})
            assert answer.status_code == 201, (number, answer.text)


@pytest.mark.parametrize("origins", [[PAGE], ["*"]])
async def test_a_page_that_is_named_may_write(settings: Settings, stores: Stores, origins: list[str]) -> None:
    async with client_for(settings, stores, cors_origins=origins) as client:
        for site in ("cross-site", "same-site"):
            headers = {"Origin": PAGE, "Sec-Fetch-Site": site}
            assert (await client.post("/api", json=NAMED, headers=headers)).status_code == 201
        other = await client.post("/api", json=NAMED, headers={"Origin": "https://evil.example"})
        assert other.status_code == (201 if origins == ["*"] else 403)


async def test_a_page_of_another_site_may_link_to_what_is_read(client: httpx.AsyncClient) -> None:
    for headers in FOREIGN:
        assert (await client.get("/points", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("bound", "hosts", "allowed", "refused"),
    [
        (
            "127.0.0.1",
            [],
            ["localhost", "LOCALHOST:8000", "a.localhost", "localhost.", "127.0.0.1", "127.8.9.1:80", "[::1]:8000", ""],
            [
                "evil.example",
                "localhost.evil.example",
                "127.0.0.1.evil.example:8000",
                "10.0.0.7",
                "[::2]",
                "xlocalhost",
            ],
        ),
        ("10.0.0.7", [], ["10.0.0.7:8000", "localhost"], ["10.0.0.8", "evil.example"]),
        ("cosmos.lan", [], ["cosmos.lan:8000", "127.0.0.1"], ["evil.lan"]),
        ("0.0.0.0", [], ["10.0.0.7:8000", "[fd00::7]:8000", "localhost"], ["evil.example", "api:8000", "256.1.1.1"]),
        ("::", [], ["10.0.0.7", "[fd00::7]"], ["evil.example"]),
        (
            "127.0.0.1",
            ["data.example.org", "*.lan"],
            ["Data.Example.Org", "x.lan:80", "127.0.0.1"],
            ["example.org", "lan"],
        ),
        ("127.0.0.1", ["*"], ["evil.example", "10.0.0.7"], []),
    ],
)
async def test_only_hosts_of_ours_are_answered_for(
    settings: Settings, stores: Stores, bound: str, hosts: list[str], allowed: list[str], refused: list[str]
) -> None:
    async with client_for(settings, stores, host=bound, allowed_hosts=hosts) as client:
        for host in allowed:
            assert (await client.get("/series/count", headers={"Host": host})).status_code == 200, host
        for host in refused:
            for path in ("/series/count", "/health"):
                answer = await client.get(path, headers={"Host": host})
                assert (answer.status_code, answer.headers["content-type"]) == (421, PROBLEM), host
                assert "DATACOSMOS_ALLOWED_HOSTS" in answer.json()["detail"]
            asked = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"Host": host})
            assert asked.status_code == 421
            assert asked.json()["errors"][0]["extensions"]["code"] == "MISDIRECTED_REQUEST"


WRITE = """address => fetch(address + "/api", {
    method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}, body: '[{"name": "x", "t": 1, "v": 1}]'
}).then(answer => answer.status)"""


async def another_page(_: Request) -> Response:
    return HTMLResponse("<title>another</title>")


async def test_in_a_browser_another_page_writes_nothing_and_ours_does(settings: Settings, stores: Stores) -> None:
    foreign = Starlette(routes=[Route("/", another_page)])
    async with (
        serving(app_of(settings, stores), settings, host="127.0.0.1", port=0) as address,
        serving(foreign, settings, host="127.0.0.1", port=0) as another,
        browser_page() as (page, _),
    ):
        await page.goto(another)
        await page.evaluate(WRITE, address)
        assert await stores.series.count(None) == 0
        await page.goto(f"{address}/docs")
        assert await page.evaluate(WRITE, address) == 201
        assert await stores.series.count(None) == 1
