import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import ASGIApp, Message
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from datacosmos.domain.columns import Columns
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import app_of, client_of
from tests.browser import browser_page

EXPOSED = "Accept-Encoding, Allow, Location, Retry-After, WWW-Authenticate, X-Request-ID"
PAGE = "https://dashboard.example"


def client_for(settings: Settings, stores: Stores, *origins: str) -> httpx.AsyncClient:
    allowing = settings.model_copy(update={"cors_origins": list(origins)})
    return client_of(app_of(allowing, stores))


async def test_the_root_gives_a_browser_the_page_and_a_program_the_routes(client: httpx.AsyncClient) -> None:
    browser = await client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert browser.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in browser.headers["content-security-policy"]
    program = await client.get("/")
    assert browser.headers["vary"].startswith("Accept")
    assert program.headers["vary"].startswith("Accept")
    for place in set(program.json().values()) - {"/graphql", "/changes"}:  # which is a stream without end
        assert (await client.get(place)).status_code == 200


async def test_without_the_page_the_root_leads_a_browser_to_the_playground(settings: Settings, stores: Stores) -> None:
    async with client_of(app_of(settings.model_copy(update={"page": False}), stores)) as client:
        browser = await client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
        assert (browser.status_code, browser.headers["location"]) == (307, "/graphql")
        assert (await client.get("/page/main.js")).status_code == 404
        assert "graphql" in (await client.get("/")).json()


async def test_an_unknown_route_and_a_wrong_method_are_problems(client: httpx.AsyncClient) -> None:
    for answer, status in ((await client.get("/nothing"), 404), (await client.post("/points"), 405)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.json()["detail"]
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("given", ["trace-7", "0af7651916cd43dd8448eb211c80319c", "a.b_c"])
async def test_a_sane_request_id_of_the_client_is_kept(client: httpx.AsyncClient, given: str) -> None:
    assert (await client.get("/", headers={"X-Request-ID": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", '<script>"', "a\u00ff"])
async def test_any_other_request_gets_an_id_of_its_own(client: httpx.AsyncClient, given: str | None) -> None:
    headers = {} if given is None else {b"x-request-id": given.encode("latin-1")}
    ids = [(await client.get("/", headers=headers)).headers["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)
    assert ids[0] != ids[1]


class Failing(Points):
    """A store with a bug."""

    def columns(self, *_: Any, **__: Any) -> AsyncGenerator[Columns]:
        raise RuntimeError("the password is hunter2")


async def test_an_unexpected_failure_is_masked_and_logged_under_the_request_id(
    settings: Settings, database: Database, stores: Stores
) -> None:
    failing = replace(stores, points=Failing(database))
    with capture_logs(processors=[merge_contextvars]) as logged:
        answer = await client_for(settings, failing).get("/points", headers={"X-Request-ID": "trace-7"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "trace-7"
    assert "trace-7" in answer.json()["detail"]
    assert "hunter2" not in answer.text
    failure, request = logged
    assert (failure["request_id"], failure["route"]) == ("trace-7", "/points")
    assert (request["request_id"], request["status"]) == ("trace-7", 500)


async def test_a_client_that_leaves_in_mid_request_is_no_error(app: ASGIApp) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    with capture_logs() as logged:
        await app(scope, receive, send)
    assert sent == []
    assert logged == []


async def test_no_other_origin_is_allowed_by_default(client: httpx.AsyncClient) -> None:
    assert "access-control-allow-origin" not in (await client.get("/points", headers={"Origin": PAGE})).headers


async def test_a_named_origin_may_ask_and_its_browser_may_ask_first(settings: Settings, stores: Stores) -> None:
    async with client_for(settings, stores, PAGE) as client:
        wanted = "authorization,content-type,idempotency-key"
        wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
        before = await client.options("/graphql", headers={"Origin": PAGE, **wish})
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == PAGE
        assert "authorization" in before.headers["access-control-allow-headers"].lower()
        answer = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"Origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-expose-headers"] == EXPOSED
        other = await client.options("/graphql", headers={"Origin": "https://other.example", **wish})
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers


async def test_the_documentation_opens_in_a_browser_and_all_files_are_ours(app: ASGIApp, settings: Settings) -> None:
    async with serving(app, settings, host="127.0.0.1", port=0) as address, browser_page() as (page, asked):
        await page.goto(f"{address}/docs")
        await page.wait_for_selector("text=All accepted points of a series in a range")
        assert f"{address}/openapi.json" in asked
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}
