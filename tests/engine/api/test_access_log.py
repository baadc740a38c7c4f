"""The line that each request leaves in the log."""

import logging
from collections.abc import Generator
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from datacosmos.settings import Settings
from tests.asking import USER, bearer, put_location
from tests.lines import line_to
from tests.unit.http.echo import server

SEEN = ("log_level", "method", "route", "status", "subject")
ID = "01a20471-856e-77fe-8a3e-71fcbd593295"


@pytest.fixture(autouse=True)
def verbose() -> Generator[None]:
    """Everything is logged."""
    ours = logging.getLogger("datacosmos")
    ours.setLevel(logging.DEBUG)
    yield
    ours.setLevel(logging.NOTSET)


async def logged(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> dict[str, Any]:
    """The one line of a request, found by its id."""
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await client.request(method, url, **request)
    [line] = [line for line in lines if line["event"] == "request"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["ms"] > 0
    return {name: line.get(name) for name in SEEN}


@pytest.mark.parametrize(
    ("method", "url", "body", "seen"),
    [
        ("POST", "/api", [{"name": "mast", "t": 1, "v": 2}], ("info", "POST", "/api", 201, "ada")),
        ("DELETE", f"/series/{ID}", None, ("info", "DELETE", "/series/{id}", 404, "ada")),
        ("GET", "/points?series=secret", None, ("debug", "GET", "/points", 200, "ada")),
        ("GET", f"/series/{ID}", None, ("info", "GET", "/series/{id}", 404, "ada")),
        ("GET", "/health/live", None, ("debug", "GET", "/health/live", 200, None)),
        ("GET", "/nowhere", None, ("info", "GET", "other", 404, None)),
        ("POST", "/graphql", {"query": "{ __typename }"}, ("debug", "POST", "/graphql", 200, "ada")),
        ("POST", "/graphql", {"query": "{ nothing }"}, ("info", "POST", "/graphql", 200, "ada")),
        ("POST", "/graphql", {"query": "{ discards { time } }"}, ("info", "POST", "/graphql", 200, "ada")),
        ("GET", "/graphql?query={nothing}", None, ("info", "GET", "/graphql", 200, "ada")),
        ("POST", "/graphql", {"query": 7}, ("info", "POST", "/graphql", 400, None)),
    ],
)
async def test_writes_and_errors_are_logged_at_info_and_all_else_at_debug(
    client: httpx.AsyncClient, method: str, url: str, body: Any, seen: tuple[Any, ...]
) -> None:
    headers = bearer(USER)
    assert tuple((await logged(client, method, url, json=body, headers=headers)).values()) == seen


async def test_who_asked_is_said_of_that_request_alone(client: httpx.AsyncClient) -> None:
    assert (await logged(client, "GET", "/series", headers=bearer(USER)))["subject"] == "ada"
    assert (await logged(client, "GET", "/series"))["subject"] is None
    assert (await logged(client, "GET", "/series", headers=bearer("rubbish")))["subject"] is None


async def test_so_it_is_where_the_next_request_is_sent_before_the_answer(app: ASGIApp) -> None:
    head = "GET /series HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    both = f"{head}Authorization: {bearer(USER)['Authorization']}\r\n\r\n{head}Connection: close\r\n\r\n"
    with capture_logs(processors=[merge_contextvars]) as lines:
        async with server(app=app) as address, line_to(address) as client:
            await client.send(both)
            await client.ended()
    assert [line.get("subject") for line in lines if line["event"] == "request"] == ["ada", None]


async def test_no_token_query_or_place_is_logged(client: httpx.AsyncClient, settings: Settings) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        await put_location(client, USER)
        await client.get("/points?series=datacosmos&start=2031-01-01T00:00:00Z", headers=bearer(USER))
        await client.post("/graphql", json={"query": '{ points(end: "2031-01-01T00:00:00Z") { nothing } }'})
    assert len(lines) == 3
    assert not any(secret in str(lines) for secret in (USER, "2031", "40.7", "73.9", "nothing"))
