# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import csv
import math
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow.ipc
import pytest
from starlette.types import ASGIApp

from datacosmos.api.lists.arrow import POINTS
from datacosmos.api.media import ARROW
from datacosmos.api.times import format_time
from datacosmos.domain.columns import EPOCH, MILLISECOND, Columns
from datacosmos.domain.points import Reason
from datacosmos.errors import StoreUnavailable
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, SECOND, app_of, ask, bearer, client_of, client_without_store, point
from tests.unpacking import UNPACKERS


async def test_the_points_of_a_range_are_one_array_by_time(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(NOON + i * SECOND / 2, value=i / 8) for i in reversed(range(4))])
    await points.add([point(NOON, Reason.SYSTEM)])
    answer = await client.get("/points")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [
        {"time": "2024-03-28T12:00:00Z", "value": 0.0},
        {"time": "2024-03-28T12:00:00.500000Z", "value": 0.125},
        {"time": "2024-03-28T12:00:01Z", "value": 0.25},
        {"time": "2024-03-28T12:00:01.500000Z", "value": 0.375},
    ]
    part = await client.get("/points", params={"start": "2024-03-28T13:00:00.5+01:00", "end": "2024-03-28T12:00:01Z"})
    assert [row["value"] for row in part.json()] == [0.125, 0.25]


async def test_nothing_in_range_is_an_empty_array(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points")
    assert (answer.status_code, answer.text) == (200, "[]")


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
async def test_an_infinite_value_that_an_earlier_version_stored_is_in_no_list(
    client: httpx.AsyncClient, points: Points, odd: float
) -> None:
    values = [*map(float, range(100)), odd, 100.0]
    series: dict[str, Any] = {"series": "sensors/s", "source": "sensors", "sent_value": 1e308}
    await points.add([point(NOON + n * SECOND, value=value, **series) for n, value in enumerate(values)])
    await points.add([point(NOON, Reason.TOO_OLD, value=odd)])
    wanted = [value for value in values if value != odd and not math.isnan(value)]
    who = bearer(ADMIN)
    exported = (await client.get("/points", params={"series": "sensors/s"}, headers=who)).json()
    assert [row["value"] for row in exported] == wanted
    lists = (await ask(client, FAR_LISTS, ADMIN))["data"]
    for name in ("columns", "documents", "celsius", "fahrenheit"):
        assert len(lists[name]) == len(wanted)
    assert [row["value"] for row in lists["columns"]] == wanted
    assert [row["node"]["value"] for row in lists["page"]["edges"]] == wanted
    assert lists["page"]["pageInfo"] == {"hasNextPage": False}
    assert lists["discards"] == [{"value": None, "reason": "TOO_OLD"}]


FAR_LISTS = """{
  columns: points(series: "sensors/s") { time value } documents: points(series: "sensors/s") { value tags }
  page: pointsConnection(series: "sensors/s", first: 101) { edges { node { value } } pageInfo { hasNextPage } }
  celsius: sensorReadings(sensorId: "s") { temperatureC } fahrenheit: sensorReadings(sensorId: "s") { temperatureF }
  discards { value reason }
}"""


async def test_an_export_of_many_batches_is_whole(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(NOON + i * timedelta(milliseconds=1), value=float(i)) for i in range(12_000)])
    assert [row["value"] for row in (await client.get("/points")).json()] == [float(i) for i in range(12_000)]


async def test_points_are_lines_of_json_or_csv_where_the_client_would_rather_have_them(
    client: httpx.AsyncClient, points: Points
) -> None:
    await points.add([point(NOON + i * SECOND / 4, value=i / 3) for i in range(3000)])
    rows = (await client.get("/points")).json()
    lines = await client.get("/points", headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [orjson.loads(line) for line in lines.content.splitlines()] == rows
    table = await client.get("/points", headers={"Accept": "text/csv"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    head, *cells = csv.reader(StringIO(table.text, newline=""))
    assert head == ["time", "value"]
    assert [{"time": time, "value": float(value)} for time, value in cells] == rows


async def test_points_are_a_stream_of_arrow_where_the_client_would_rather_have_it(
    client: httpx.AsyncClient, points: Points
) -> None:
    for number in (0, 5000):
        await points.add([point(NOON + i * SECOND / 4, value=i / 3) for i in range(number)])
        rows = (await client.get("/points")).json()
        answer = await client.get("/points", headers={"Accept": ARROW})
        assert answer.headers["content-type"] == ARROW
        assert answer.content.endswith(b"\xff\xff\xff\xff\0\0\0\0")
        table = pyarrow.ipc.open_stream(answer.content).read_all()
        table.validate(full=True)
        assert str(table.schema) == "time: timestamp[ms, tz=UTC] not null\nvalue: double not null"
        found = [{"time": format_time(row["time"]), "value": row["value"]} for row in table.to_pylist()]
        assert found == rows
        assert len(rows) == number


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "application/json"),
        ("text/*, application/json;q=0.9", "text/csv"),
        ("text/csv;q=0.1, application/x-ndjson;q=0.2", "application/x-ndjson"),
        ("application/json;q=0, */*;q=0.1", "application/x-ndjson"),
        ("text/html, */*;q=0.8", "application/json"),
    ],
)
async def test_the_format_of_the_highest_weight_is_chosen(client: httpx.AsyncClient, accept: str, chosen: str) -> None:
    answer = await client.get("/points", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == chosen
    assert "Accept" in answer.headers["vary"].split(", ")


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "*/*;q=0"])
async def test_whoever_takes_none_of_the_formats_is_told_which_there_are(
    client: httpx.AsyncClient, accept: str
) -> None:
    answer = await client.get("/points", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")
    assert f"application/json, application/x-ndjson, text/csv, {ARROW}" in answer.json()["detail"]
    assert answer.headers["vary"] == "Accept"


async def test_nothing_in_range_is_a_file_without_rows(client: httpx.AsyncClient) -> None:
    for accept, empty in {"application/x-ndjson": "", "text/csv": "time,value\r\n"}.items():
        answer = await client.get("/points", headers={"Accept": accept})
        assert (answer.status_code, answer.text) == (200, empty)


async def test_each_faulty_parameter_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points", params={"start": "noon", "end": "2024-03-28T12:00:00"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400
    assert [error["parameter"] for error in problem["errors"]] == ["start", "end"]
    assert "ISO 8601" in problem["errors"][0]["detail"]


async def test_start_after_end_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points", params={"start": "2024-03-28T12:00:01Z", "end": "2024-03-28T12:00:00Z"})
    assert answer.status_code == 400
    assert "is after end" in answer.json()["detail"]


async def test_while_mongodb_is_unavailable_the_answer_is_503(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        answer = await client.get("/points")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


def some_columns(number: int) -> Columns:
    return Columns(np.full(number, (NOON - EPOCH) // MILLISECOND), np.ones(number))


class Interrupted(Points):
    """A store that becomes unavailable after its first batch."""

    async def columns(self, *_: Any, **__: Any) -> AsyncGenerator[Columns]:
        yield some_columns(1)
        raise StoreUnavailable("MongoDB is unavailable")


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
@pytest.mark.parametrize(
    ("accept", "begun"),
    [
        ("application/json", b'[{"time":"2024-03-28T12:00:00Z","value":1.0}'),
        ("application/x-ndjson", b'{"time":"2024-03-28T12:00:00Z","value":1.0}\n'),
        ("text/csv", b"time,value\r\n2024-03-28T12:00:00Z,1.0\r\n"),
        (ARROW, POINTS.head + POINTS.encode(Columns(np.array([1_711_627_200_000]), np.ones(1)))),
    ],
)
async def test_a_failure_in_mid_stream_breaks_the_transfer_off(
    settings: Settings,
    database: Database,
    stores: Stores,
    caplog: pytest.LogCaptureFixture,
    accept: str,
    begun: bytes,
    encoding: str,
) -> None:
    broken = replace(stores, points=Interrupted(database))
    app = app_of(settings, broken)
    received = b""
    async with serving(app, settings, host="127.0.0.1", port=0) as address, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            headers = {"Accept": accept, "Accept-Encoding": encoding}
            async with client.stream("GET", f"{address}/points", headers=headers) as answer:
                assert answer.status_code == 200
                assert answer.headers.get("content-encoding", "identity") == encoding
                async for chunk in answer.aiter_raw():
                    received += chunk
    unpacker = UNPACKERS[encoding]()
    assert unpacker.decompress(received) == begun
    assert not unpacker.eof
    errors = [record.name for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["datacosmos.http.middleware"]


class Endless(Points):
    """A store that never runs out, and notes when its reader is gone."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.left = asyncio.Event()

    async def columns(self, *_: Any, **__: Any) -> AsyncGenerator[Columns]:
        try:
            while True:
                await asyncio.sleep(0)
                yield some_columns(1000)
        finally:
            self.left.set()


async def test_an_export_ends_when_its_client_leaves(settings: Settings, database: Database, stores: Stores) -> None:
    points = Endless(database)
    app = app_of(settings, replace(stores, points=points))
    async with serving(app, settings, host="127.0.0.1", port=0) as address, httpx.AsyncClient() as client:
        async with client.stream("GET", f"{address}/points") as answer:
            await anext(answer.aiter_bytes())
        async with asyncio.timeout(10):
            await points.left.wait()


async def test_the_documentation_tells_the_real_status_codes(app: ASGIApp) -> None:
    async with client_of(app) as client:
        document = (await client.get("/openapi.json")).json()
    answers = document["paths"]["/points"]["get"]["responses"]
    assert answers.keys() == {"200", "400", "401", "404", "406", "503", "default"}
    assert answers["200"]["content"].keys() == {"application/json", "application/x-ndjson", "text/csv", ARROW}
    assert "application/problem+json" in answers["400"]["content"]
    assert [path for path, routes in document["paths"].items() if "'422'" in str(routes)] == [
        "/series",
        "/series/{id}/forecast",
    ]
