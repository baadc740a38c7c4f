"""That a client is gone, whatever it sent before."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from datacosmos.http.bodies import received
from datacosmos.http.leaving import until_client_leaves
from tests.lines import line_to
from tests.unit.http.echo import server

REQUESTS = {
    "a request": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two requests": "GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2,
    "a long body": f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{'x' * 900_000}",
}


@pytest.mark.parametrize("requests", REQUESTS.values(), ids=REQUESTS)
async def test_work_ends_once_its_client_is_gone(requests: str) -> None:
    working, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        if scope["method"] == "POST":
            await received(receive)
        try:
            with until_client_leaves(scope, receive):
                working.set()
                await asyncio.Event().wait()
        except ClientDisconnect:
            left.set()

    async with server(app=app) as address:
        async with line_to(address) as client:
            await client.send(requests)
            await working.wait()
        await left.wait()
