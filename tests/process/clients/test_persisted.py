"""Clients that send a query's hash first, and its text once they are told to."""

import json

import pytest

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import app_of, point
from tests.process.clients import node


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("client", ["apollo", "urql"])
async def test_a_client_that_sends_a_hash_is_told_to_send_the_text_and_gets_its_answer(
    settings: Settings, stores: Stores, client: str, method: str
) -> None:
    await stores.points.add([point(value=0.5)])
    async with serving(app_of(settings, stores), settings, host="127.0.0.1", port=0) as address:
        told = json.loads(await node("persisted.mjs", address, client, method))
    assert [points["value"] for points in told["data"]["points"]] == [0.5]
    assert told["sent"] == [[method, False], [method, True]]
