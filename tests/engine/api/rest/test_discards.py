"""GET /discards, beside what GraphQL answers of the same discards."""

import csv
from collections.abc import AsyncGenerator
from dataclasses import replace
from io import StringIO
from typing import Any

import httpx
import orjson
import pytest
from graphql import GraphQLObjectType, build_schema

from datacosmos.api.graphql.schema import print_schema
from datacosmos.domain.points import Point, Reason
from datacosmos.errors import StoreUnavailable
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points import queries
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, SECOND, USER, app_of, ask, bearer, client_without_store, point

FIELDS = "id source series time value tags reason reasons receivedAt faults duplicateOf rawBase64"
LISTS = ("tags", "reasons", "faults")
LINES, TABLE = ({"Accept": media_type, **bearer(ADMIN)} for media_type in ("application/x-ndjson", "text/csv"))


async def store(points: Points) -> None:
    """Of each reason one, and what is hard to write as CSV."""
    await points.add([point(NOON, reason, at=NOON + n * SECOND) for n, reason in enumerate(Reason)])
    odd: dict[str, Any] = {"source": "sensors", "series": 'sensors/"a,b"\r\n=1+1', "tags": ("a,b", '"', "é\n")}
    faults = ("the time is missing", 'no "value", either')
    empty: dict[str, Any] = {"series": None, "value": None, "faults": faults, "raw": b"\xff\0,\r\n"}
    await points.add([point(NOON, Reason.SYSTEM, Reason.SUSPECT, at=NOON + 10 * SECOND, value=1e300, **odd)])
    await points.add([point(None, Reason.MALFORMED, at=NOON + 11 * SECOND, **empty)])


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [orjson.loads(line) for line in answer.content.splitlines()]


def read_cell(name: str, cell: str) -> Any:
    if name in LISTS:
        return orjson.loads(cell)
    return (float(cell) if name == "value" else cell) if cell else None


async def test_discards_are_lines_of_json_and_csv_with_what_graphql_tells(
    client: httpx.AsyncClient, points: Points
) -> None:
    await store(points)
    wanted = (await ask(client, f"{{ discards {{ {FIELDS} }} }}", ADMIN))["data"]["discards"]
    assert len(wanted) == 7
    assert lines(await client.get("/discards", headers=LINES)) == wanted
    table = await client.get("/discards", headers=TABLE)
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = csv.DictReader(StringIO(table.text, newline=""), strict=True)
    assert [{name: read_cell(name, cell) for name, cell in row.items()} for row in rows] == wanted
    assert rows.fieldnames == FIELDS.split()


async def test_the_columns_are_the_fields_of_graphql(client: httpx.AsyncClient) -> None:
    discard = build_schema(print_schema()).type_map["Discard"]
    assert isinstance(discard, GraphQLObjectType)
    table = await client.get("/discards", headers=TABLE)
    assert table.text == ",".join(FIELDS.split()) + "\r\n"
    assert discard.fields.keys() - set(FIELDS.split()) == {"raw", "rawPreview"}  # which rawBase64 holds


@pytest.mark.parametrize("reason", [*Reason])
async def test_a_reason_is_any_of_the_reasons(client: httpx.AsyncClient, points: Points, reason: Reason) -> None:
    await store(points)
    found = lines(await client.get("/discards", params={"reason": reason.name}, headers=LINES))
    query = f"{{ discards(reason: {reason.name}) {{ {FIELDS} }} }}"
    assert found == (await ask(client, query, ADMIN))["data"]["discards"]
    assert len(found) == (1 if reason in (Reason.TOO_OLD, Reason.DUPLICATE) else 2)


async def test_source_start_and_end_choose_discards_by_their_receipt(client: httpx.AsyncClient, points: Points) -> None:
    await store(points)
    part = {"start": "2024-03-28T12:00:04Z", "end": "2024-03-28T13:00:10+01:00"}
    found = lines(await client.get("/discards", params=part, headers=LINES))
    assert [row["receivedAt"] for row in found] == ["2024-03-28T12:00:04Z", "2024-03-28T12:00:10Z"]
    [row] = lines(await client.get("/discards", params={"source": "sensors"}, headers=LINES))
    assert row["source"] == "sensors"


async def test_more_payload_than_a_query_may_hold_is_exported_whole(
    client: httpx.AsyncClient, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MOST_RAW", 1 << 16)
    await points.add([point(NOON, Reason.SYSTEM, at=NOON + n * SECOND, raw=b"x" * 1000) for n in range(500)])
    assert "errors" in await ask(client, "{ discards { rawBase64 } }", ADMIN)
    found = lines(await client.get("/discards", headers=LINES))
    assert [row["receivedAt"] for row in found] == sorted({row["receivedAt"] for row in found})
    assert len(found) == 500


async def test_discards_are_for_administrators(client: httpx.AsyncClient, points: Points) -> None:
    await store(points)
    for who, status in ((None, 401), ("rubbish", 401), (USER, 403)):
        answer = await client.get("/discards", headers=bearer(who))
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert "sensors" not in answer.text


@pytest.mark.parametrize("parameters", [{"reason": "too_old"}, {"start": "noon"}, {"source": ""}, {"series": "x"}])
async def test_a_faulty_parameter_is_named(client: httpx.AsyncClient, parameters: dict[str, str]) -> None:
    answer = await client.get("/discards", params=parameters, headers=LINES)
    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json()["errors"]] == [*parameters]


async def test_the_reasons_are_documented(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()["paths"]["/discards"]["get"]
    [schema] = [each["schema"] for each in document["parameters"] if each["name"] == "reason"]
    assert (schema["type"], schema["enum"]) == ("string", [reason.name for reason in Reason])
    assert document["responses"]["200"]["content"].keys() == {"application/x-ndjson", "text/csv"}


async def test_other_formats_than_those_served_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/discards", headers={"Accept": "application/json", **bearer(ADMIN)})
    assert answer.status_code == 406
    assert "application/x-ndjson, text/csv" in answer.json()["detail"]


async def test_while_mongodb_is_unavailable_the_answer_is_503(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        answer = await client.get("/discards", headers=LINES)
    assert answer.status_code == 503


class Interrupted(Points):
    """A store that becomes unavailable after its first page."""

    async def discards(self, *_: Any, **__: Any) -> AsyncGenerator[list[Point]]:
        yield [point(NOON, Reason.SYSTEM)]
        raise StoreUnavailable("MongoDB is unavailable")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_failure_in_mid_stream_breaks_the_transfer_off(
    settings: Settings, database: Database, stores: Stores, encoding: str
) -> None:
    app = app_of(settings, replace(stores, points=Interrupted(database)))
    headers = LINES | {"Accept-Encoding": encoding}
    received = b""
    async with serving(app, settings, host="127.0.0.1", port=0) as address, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", f"{address}/discards", headers=headers) as answer:
                async for chunk in answer.aiter_bytes():
                    received += chunk
    assert orjson.loads(received)["reason"] == "SYSTEM"
