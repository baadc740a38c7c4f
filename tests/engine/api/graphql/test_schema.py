from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from datacosmos.api.graphql.schema import print_schema
from datacosmos.domain.columns import Columns
from datacosmos.domain.points import Reason
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.line import Line
from datacosmos.store.mongo.wire import Wire
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, SECOND, USER, app_of, ask, client_of, client_without_store, code, point

PAGE = """
query($first: Int!, $after: String) {
  pointsConnection(first: $first, after: $after) {
    edges { cursor node { value } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
DISCARDS_PAGE = PAGE.replace("pointsConnection", "discardsConnection").replace("value", "id")
VALUES = "query($start: DateTime, $end: DateTime) { points(start: $start, end: $end) { value } }"


def client_with(settings: Settings, stores: Stores, **changes: Any) -> httpx.AsyncClient:
    return client_of(app_of(settings.model_copy(update=changes), stores))


def values(answer: dict[str, Any]) -> list[float]:
    return [found["value"] for found in answer["data"]["points"]]


def test_the_printed_schema_is_current() -> None:
    printed = (Path(__file__).parents[4] / "schema.graphql").read_text("utf-8")
    assert printed == print_schema(), "print it anew: datacosmos schema > schema.graphql"


async def test_a_point_is_answered_with_all_its_fields(client: httpx.AsyncClient, points: Points) -> None:
    stored = point(NOON, at=NOON + timedelta(milliseconds=1500), tags=("a", "ü"), value=-0.25)
    await points.add([stored])
    answer = await ask(client, "{ points { id series time value tags receivedAt } }")
    assert answer == {
        "data": {
            "points": [
                {
                    "id": stored.id,
                    "series": "datacosmos",
                    "time": "2024-03-28T12:00:00Z",
                    "value": -0.25,
                    "tags": ["a", "ü"],
                    "receivedAt": "2024-03-28T12:00:01.500000Z",
                }
            ]
        }
    }


async def test_a_discard_is_answered_with_its_reasons_and_payload(client: httpx.AsyncClient, points: Points) -> None:
    text = point(NOON, Reason.TOO_OLD, Reason.SYSTEM, raw="{ü}".encode(), tags=("system",))
    rubbish = point(None, Reason.MALFORMED, at=NOON + SECOND, series=None, value=None, raw=b"\xff\x00")
    await points.add([text, rubbish])
    answer = await ask(
        client,
        "{ discards { id source series time value tags reason reasons receivedAt "
        "raw rawPreview(length: 2) rawBase64 } }",
        ADMIN,
    )
    assert answer["data"]["discards"] == [
        {
            "id": text.id,
            "source": "data_server",
            "series": "datacosmos",
            "time": "2024-03-28T12:00:00Z",
            "value": 0.5,
            "tags": ["system"],
            "reason": "TOO_OLD",
            "reasons": ["TOO_OLD", "SYSTEM"],
            "receivedAt": "2024-03-28T12:00:00Z",
            "raw": "{ü}",
            "rawPreview": "{ü",
            "rawBase64": "e8O8fQ==",
        },
        {
            "id": rubbish.id,
            "source": "data_server",
            "series": None,
            "time": None,
            "value": None,
            "tags": [],
            "reason": "MALFORMED",
            "reasons": ["MALFORMED"],
            "receivedAt": "2024-03-28T12:00:01Z",
            "raw": None,
            "rawPreview": "\ufffd\0",
            "rawBase64": "/wA=",
        },
    ]


async def test_a_discard_is_found_by_its_id_and_by_administrators_alone(
    client: httpx.AsyncClient, points: Points
) -> None:
    await points.add([accepted := point(NOON), discarded := point(NOON, Reason.SYSTEM, raw=b"{}")])
    query = "query($id: ID!) { discard(id: $id) { id reason raw } }"
    found = {"id": discarded.id, "reason": "SYSTEM", "raw": "{}"}
    assert await ask(client, query, ADMIN, id=discarded.id) == {"data": {"discard": found}}
    for other in (accepted.id, "nothing", "\0"):
        assert await ask(client, query, ADMIN, id=other) == {"data": {"discard": None}}
    for who, expected in ((None, "UNAUTHENTICATED"), (USER, "FORBIDDEN")):
        answer = await ask(client, query, who, id=discarded.id)
        assert (answer["data"], code(answer)) == ({"discard": None}, expected)


async def test_start_and_end_are_inclusive_and_each_optional(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(NOON + i * SECOND, value=float(i)) for i in reversed(range(5))])
    one, three = "2024-03-28T12:00:01Z", "2024-03-28T13:00:03+01:00"
    assert values(await ask(client, VALUES)) == [0, 1, 2, 3, 4]
    assert values(await ask(client, VALUES, start=one)) == [1, 2, 3, 4]
    assert values(await ask(client, VALUES, end=three)) == [0, 1, 2, 3]
    assert values(await ask(client, VALUES, start=one, end=three)) == [1, 2, 3]
    assert values(await ask(client, VALUES, start=one, end=one)) == [1]
    assert values(await ask(client, VALUES, start=None, end=None)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("field", ["points", "pointsConnection", "discards", "discardsConnection"])
async def test_start_after_end_is_an_error(client: httpx.AsyncClient, field: str) -> None:
    window = '(start: "2024-03-28T12:00:01Z", end: "2024-03-28T12:00:00Z")'
    assert code(await ask(client, f"{{ {field}{window} {{ __typename }} }}", ADMIN)) == "INVALID_RANGE"


async def test_discards_are_chosen_by_any_reason_and_by_receipt(client: httpx.AsyncClient, points: Points) -> None:
    both = point(NOON, Reason.TOO_OLD, Reason.SUSPECT, at=NOON)
    late = point(NOON, Reason.SUSPECT, at=NOON + SECOND)
    await points.add([both, late, point(NOON)])

    async def ids(arguments: str) -> list[str]:
        answer = await ask(client, f"{{ discards{arguments} {{ id }} }}", ADMIN)
        return [found["id"] for found in answer["data"]["discards"]]

    assert await ids("") == [both.id, late.id]
    assert await ids("(reason: SUSPECT)") == [both.id, late.id]
    assert await ids("(reason: TOO_OLD)") == [both.id]
    assert await ids("(reason: SYSTEM)") == []
    assert await ids('(start: "2024-03-28T12:00:00.500Z")') == [late.id]
    assert await ids('(end: "2024-03-28T12:00:00Z")') == [both.id]


async def test_a_plain_list_is_never_cut_short(settings: Settings, stores: Stores) -> None:
    await stores.points.add(
        [point(NOON + i * SECOND, *reasons) for i in range(3) for reasons in ((), (Reason.SYSTEM,))]
    )
    async with client_with(settings, stores, max_points=3) as client:
        assert len((await ask(client, "{ points { value } }"))["data"]["points"]) == 3
        assert len((await ask(client, "{ discards { id } }", ADMIN))["data"]["discards"]) == 3
    async with client_with(settings, stores, max_points=2) as client:
        many = await ask(client, "{ points { value } }")
        assert code(many) == "TOO_MANY_POINTS"
        message = many["errors"][0]["message"]
        assert "more than 2" in message
        assert "pointsConnection" in message
        assert "GET /points" in message
        many = await ask(client, "{ discards { id } }", ADMIN)
        assert code(many) == "TOO_MANY_POINTS"
        assert "discardsConnection" in many["errors"][0]["message"]


async def test_pages_skip_and_repeat_nothing_while_points_arrive(client: httpx.AsyncClient, points: Points) -> None:
    stored = [point(NOON + (i // 3) * SECOND, value=float(i)) for i in range(20)]
    await points.add(stored)
    seen: list[float] = []
    after: str | None = None
    for number in range(100):
        page = (await ask(client, PAGE, first=3, after=after))["data"]["pointsConnection"]
        assert page["pageInfo"]["hasPreviousPage"] is (number > 0)
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
        seen += [edge["node"]["value"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        # What arrives lands before, among and after what is still to come.
        await points.add([point(NOON + late * SECOND, value=-1.0) for late in (-9, number, number + 2)])
        if number == 4:
            await points.add([point(NOON + 99 * SECOND, value=-1.0)])
    assert [value for value in seen if value >= 0] == sorted(found.reading.value or 0 for found in stored)


async def test_pages_of_discards_follow_one_another(client: httpx.AsyncClient, points: Points) -> None:
    stored = [point(NOON, Reason.SYSTEM, at=NOON + (i // 2) * SECOND) for i in range(5)]
    await points.add(stored)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = (await ask(client, DISCARDS_PAGE, ADMIN, first=2, after=after))["data"]["discardsConnection"]
        seen += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [found.id for found in stored]


async def test_an_empty_page_has_no_cursors(client: httpx.AsyncClient) -> None:
    page = (await ask(client, PAGE, first=5))["data"]["pointsConnection"]
    nothing = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert page == {"edges": [], "pageInfo": nothing}


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "ü", "cG9pbnRz", "cG9pbnRzfDB8", "cG9pbnRzfDk5OTk5OTk5OTk5OTk5OXx4", "cG9pbnRzfDAwfHg=", "//8="],
)
async def test_a_cursor_that_was_never_given_is_an_error(client: httpx.AsyncClient, cursor: str) -> None:
    assert code(await ask(client, PAGE, first=1, after=cursor)) == "INVALID_CURSOR"


async def test_a_cursor_is_good_for_its_own_connection_alone(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(), point(NOON, Reason.SYSTEM)])
    cursor = (await ask(client, PAGE, first=1))["data"]["pointsConnection"]["pageInfo"]["endCursor"]
    assert "errors" not in await ask(client, PAGE, first=1, after=cursor)
    assert code(await ask(client, DISCARDS_PAGE, ADMIN, first=1, after=cursor)) == "INVALID_CURSOR"
    assert code(await ask(client, PAGE, first=1, after=cursor.rstrip("=") + "\n")) == "INVALID_CURSOR"


@pytest.mark.parametrize("first", [0, -1, 100_001, -(2**31), 2**31 - 1])
async def test_a_page_holds_from_one_to_the_limit(client: httpx.AsyncClient, first: int) -> None:
    assert code(await ask(client, PAGE, first=first)) == "INVALID_PAGE"
    assert code(await ask(client, DISCARDS_PAGE, ADMIN, first=first)) == "INVALID_PAGE"


async def test_the_largest_page_is_allowed_and_the_default_yields_to_a_small_limit(
    settings: Settings, stores: Stores
) -> None:
    await stores.points.add([point(NOON + i * SECOND) for i in range(5)])
    async with client_with(settings, stores, max_points=3) as client:
        by_default = await ask(client, "{ pointsConnection { edges { cursor } pageInfo { hasNextPage } } }")
        assert len(by_default["data"]["pointsConnection"]["edges"]) == 3
        assert by_default["data"]["pointsConnection"]["pageInfo"]["hasNextPage"]
        assert len((await ask(client, PAGE, first=3))["data"]["pointsConnection"]["edges"]) == 3
        assert code(await ask(client, PAGE, first=4)) == "INVALID_PAGE"


async def test_while_mongodb_is_unavailable_each_field_says_so(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        assert code(await ask(client, "{ points { value } }")) == "UNAVAILABLE"
        answer = await ask(client, "{ discards { id } __typename }", ADMIN)
        assert answer["data"] == {"discards": None, "__typename": "Query"}
        assert code(answer) == "UNAVAILABLE"


async def test_while_mongodb_is_unavailable_many_fields_wait_no_longer_than_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    async def connect_noted(wire: Wire) -> Line:
        asked.append("a connection")
        return await connect(wire)

    connect = Wire._connect  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Wire, "_connect", connect_noted)
    async with client_without_store(settings) as client:
        query = "{ a: discards { id } b: discards { id } c: discardsConnection { __typename } }"
        answer = await ask(client, query, ADMIN)
    assert answer["data"] == {"a": None, "b": None, "c": None}
    assert [each["extensions"]["code"] for each in answer["errors"]] == 3 * ["UNAVAILABLE"]
    assert len(asked) == 1


class Failing(Points):
    """A store with a bug."""

    async def find_accepted(self, *_: Any, **__: Any) -> AsyncGenerator[Columns]:
        raise RuntimeError("the password is hunter2")
        yield


async def test_an_unexpected_error_is_masked_logged_and_carries_the_request_id(
    settings: Settings, database: Database, stores: Stores
) -> None:
    with capture_logs(processors=[merge_contextvars]) as logged:
        client = client_with(settings, replace(stores, points=Failing(database)))
        answer = await client.post(
            "/graphql", json={"query": "{ points { value } }"}, headers={"X-Request-ID": "trace-7"}
        )
    [error] = answer.json()["errors"]
    assert answer.headers["x-request-id"] == "trace-7"
    assert error["extensions"] == {"code": "INTERNAL", "requestId": "trace-7"}
    assert error["path"] == ["points"]
    assert "hunter2" not in answer.text
    line, _request = logged
    assert line["request_id"] == "trace-7"
    assert "hunter2" in str(line["exc_info"])


async def test_a_mistake_of_the_client_is_no_error_in_the_log(client: httpx.AsyncClient) -> None:
    with capture_logs() as logged:
        for query in ("{", "{ nothing }", "{ discards { id } }", '{ points(series: "x") { time } }'):
            await ask(client, query)
    assert {(line["event"], line["log_level"]) for line in logged} == {("request", "info")}
