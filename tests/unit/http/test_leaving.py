"""That a client is gone, whatever it sent before."""

import asyncio
from contextlib import suppress

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from datacosmos.http.bodies import received
from datacosmos.http.leaving import Leaving, until_client_leaves
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


async def test_work_whose_client_is_gone_already_does_not_begin_and_nothing_after_it_is_cancelled() -> None:
    leaving = Leaving(lambda: None)
    leaving.end()
    with pytest.raises(ClientDisconnect), leaving:
        pytest.fail("begun")
    await asyncio.sleep(0)


async def test_what_follows_work_that_ended_for_all_that_it_was_cancelled_is_not() -> None:
    leaving = Leaving(lambda: None)
    with leaving, suppress(asyncio.CancelledError):
        asyncio.get_running_loop().call_soon(leaving.end)
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
