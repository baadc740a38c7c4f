"""A byte-order mark before a body is no part of it, whatever the body is for."""

import gzip
import json
from typing import Any

import pytest

from datacosmos.api.intake import Intake
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import LOCATION, app_of, client_of, no_queue

POINT = {"name": "mast", "t": 1, "v": 2}
RECORD = {"id": "a", "type": "Sensor", "content": {"temperature_f": 9, "time_of_measurement": "2019-06-24T15:00:00"}}


async def taken(_: Any) -> None: ...


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api", [POINT]),
        ("POST", "/series", {"name": "mast", "points": [{"t": 1, "v": 2}]}),
        ("POST", "/sensors", [RECORD]),
        ("POST", "/sensors", RECORD),
        ("PUT", "/location", LOCATION),
        ("POST", "/graphql", {"query": "{ __typename }"}),
    ],
)
async def test_a_byte_order_mark_is_passed_over_also_within_gzip(
    settings: Settings, stores: Stores, method: str, path: str, body: Any
) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    async with client_of(app_of(settings, stores, intake=Intake(taken, no_queue))) as client:
        answer = await client.request(method, path, content=content, headers=headers)
        assert answer.is_success, answer.text
        assert answer.json().get("discarded", {}) == {}
        if path == "/graphql":
            return
        packed = headers | {"Content-Encoding": "gzip"}
        again = await client.request(method, path, content=gzip.compress(content), headers=packed)
        assert again.status_code != 400, again.text
