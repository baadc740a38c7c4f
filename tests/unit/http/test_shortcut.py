from collections.abc import AsyncGenerator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from datacosmos.http.shortcut import Shortcut
from datacosmos.observability import exposition


def usual(scope: Scope, _: Receive) -> ASGIApp | None:
    return None if scope["query_string"] else near


async def near(scope: Scope, receive: Receive, send: Send) -> None:
    if (await receive())["body"] == b"unexpected":
        raise RuntimeError("the password is hunter2")
    await PlainTextResponse("near")(scope, receive, send)


async def far(request: Request) -> Response:
    return PlainTextResponse(f"far: {request.method}")


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/{path}", far, methods=["GET", "POST"])])
    transport = httpx.ASGITransport(Shortcut(app, "/short", usual))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


async def test_only_a_usual_post_to_its_path_takes_it(client: httpx.AsyncClient) -> None:
    assert (await client.post("/short")).text == "near"
    assert (await client.get("/short")).text == "far: GET"
    assert (await client.post("/long")).text == "far: POST"
    assert (await client.post("/short?unusual")).text == "far: POST"


async def test_an_unexpected_error_is_masked_and_has_the_id_of_its_request(client: httpx.AsyncClient) -> None:
    answer = await client.post("/short", content=b"unexpected", headers={"X-Request-ID": "this-one"})
    assert answer.status_code == 500
    assert answer.headers["X-Request-ID"] == "this-one"
    assert "this-one" in answer.json()["detail"]
    assert "hunter2" not in answer.text


async def test_it_is_measured_under_its_path(client: httpx.AsyncClient) -> None:
    await client.post("/short")
    assert b'datacosmos_request_seconds_count{method="POST",route="/short",status="200"}' in exposition()


async def test_of_several_ids_of_a_request_the_first_counts(client: httpx.AsyncClient) -> None:
    several = [("X-Request-ID", "first"), ("X-Request-ID", "second")]
    answer = await client.post("/short", content=b"unexpected", headers=several)
    assert answer.headers["X-Request-ID"] == "first"
