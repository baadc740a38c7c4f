import asyncio
import gzip
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from structlog.testing import capture_logs

from datacosmos.auth.issuers import Role
from datacosmos.domain.series import CHUNK, Samples
from datacosmos.errors import StoreUnavailable
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.series.roots import FRESH
from datacosmos.store.series.series import SeriesStore
from datacosmos.store.stores import Stores
from tests.asking import (
    ADMIN,
    INVALID,
    USER,
    app_of,
    bearer,
    calculation_over,
    client_of,
    client_without_store,
    token,
)

BOB = token(Role.USER, subject="bob")
EVERYBODY = {"no token": None, "user": USER, "other": BOB, "admin": ADMIN}
OLD_ADMIN = token(Role.ADMIN, subject="root")
PROBLEM = "application/problem+json"


def points(*pairs: tuple[float | str, float]) -> dict[str, Any]:
    return {"points": [{"t": t, "v": v} for t, v in pairs]}


async def store(client: httpx.AsyncClient, who: str | None = None, **body: Any) -> str:
    """The path of a new series."""
    answer = await client.post("/series", json=points((1, 0.5), (2, 1.5)) | body, headers=bearer(who))
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def read(client: httpx.AsyncClient, path: str, **params: Any) -> list[tuple[float, float]]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [(point["t"], point["v"]) for point in answer.json()["points"]]


def faults(answer: httpx.Response) -> list[int | None]:
    """The index of each faulty item."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert all(error["detail"] for error in answer.json()["errors"])
    return [error.get("index") for error in answer.json()["errors"]]


# Storing and reading


async def test_a_series_is_answered_with_its_place_and_comes_back_in_time_order(client: httpx.AsyncClient) -> None:
    body = points(("1970-01-01T01:00:02.5+01:00", 3), (1, 0.1), (1.5, -2e300)) | {"name": "mast", "unit": "m/s"}
    answer = await client.post("/series", json=body)
    assert answer.status_code == 201
    told = answer.json()
    assert told.pop("id") == answer.headers["location"].removeprefix("/series/")
    assert told == {"name": "mast", "unit": "m/s", "count": 3, "start": 1, "end": 2.5}
    back = await client.get(answer.headers["location"])
    assert back.headers["content-type"] == "application/json"
    assert back.json() == answer.json() | {
        "points": [{"t": 1, "v": 0.1}, {"t": 1.5, "v": -2e300}, {"t": 2.5, "v": 3.0}]
    }
    assert '"t":1,' in back.text


async def test_each_microsecond_of_far_years_comes_back_and_can_be_asked_for(client: httpx.AsyncClient) -> None:
    times = [
        f"{year}.{n:06d}Z"
        for year in ("1600-01-01T00:00:00", "2500-01-01T00:00:00", "9999-12-31T23:59:59")
        for n in (0, 1, 2, 999_999)
    ]
    path = await store(client, points=[{"t": t, "v": n} for n, t in enumerate(times)])
    told = re.findall(r'"t":([-0-9.]+),"v":([0-9]+)', (await client.get(path)).text)
    assert [t for t, _ in told] == [
        *("-11676096000", "-11676095999.999999", "-11676095999.999998", "-11676095999.000001"),
        *("16725225600", "16725225600.000001", "16725225600.000002", "16725225600.999999"),
        *("253402300799", "253402300799.000001", "253402300799.000002", "253402300799.999999"),
    ]
    for t, n in told:
        assert [v for _, v in await read(client, path, **{"from": t, "to": t})] == [int(n)]


async def test_values_a_fixed_interval_apart_need_no_times(client: httpx.AsyncClient) -> None:
    even = {"start": "1970-01-01T00:00:01Z", "interval": 0.1, "values": [1, 2, 3, 4]}
    answer = await client.post("/series", json=even)
    assert answer.status_code == 201
    assert await read(client, answer.headers["location"]) == [(1, 1), (1.1, 2), (1.2, 3), (1.3, 4)]


@pytest.mark.parametrize("form", ["points", "values"])
@pytest.mark.parametrize("length", [0, 1, FRESH + 1, 3 * CHUNK + 1])
async def test_a_series_of_any_length_comes_back_bit_for_bit(client: httpx.AsyncClient, form: str, length: int) -> None:
    v = np.random.default_rng(length).normal(1e9, 1e-3, length).tolist()
    even = {"start": 1711644934.1, "interval": 1 / 64, "values": v}
    times = [round(1711644934.1 + n / 64, 6) for n in range(length)]
    answer = await client.post("/series", json=even if form == "values" else points(*zip(times, v, strict=True)))
    assert answer.json()["count"] == length
    back = await read(client, answer.headers["location"])
    assert [value for _, value in back] == v
    assert [t for t, _ in back] == times


async def test_a_range_has_both_its_ends_and_either_may_be_open(client: httpx.AsyncClient) -> None:
    path = await store(client, **points((1, 1), (2, 2), (2.5, 3), (3, 4)))
    for params, expected in (
        ({"from": "2", "to": "2.5"}, [2, 3]),
        ({"from": "1970-01-01T00:00:02.5Z"}, [3, 4]),
        ({"to": "2e0"}, [1, 2]),
        ({}, [1, 2, 3, 4]),
        ({"from": "2.1", "to": "2.4"}, []),
        ({"from": "9"}, []),
    ):
        assert [v for _, v in await read(client, path, **params)] == expected, params


async def test_csv_is_for_those_who_ask_for_it(client: httpx.AsyncClient) -> None:
    path = await store(client, **points((1, 0.1), (2.5, 1e22)))
    answer = await client.get(path, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.text == "t,v\r\n1,0.1\r\n2.5,1e+22\r\n"
    nothing = await client.get(path, params={"from": 9}, headers={"Accept": "text/csv"})
    assert nothing.text == "t,v\r\n"
    for accept in ("*/*", "application/json, text/csv;q=0.5", "image/png"):
        assert (await client.get(path, headers={"Accept": accept})).headers["content-type"] == "application/json"


async def test_long_csv_has_a_line_for_each_point(client: httpx.AsyncClient) -> None:
    values = np.random.default_rng(0).normal(size=2 * CHUNK + 1).tolist()
    answer = await client.post("/series", json={"start": 0, "interval": 0.5, "values": values})
    csv = await client.get(answer.headers["location"], headers={"Accept": "text/csv"})
    rows = [line.split(",") for line in csv.text.splitlines()[1:]]
    assert [float(v) for _, v in rows] == values
    assert rows[1][0] == "0.5"
    assert rows[2][0] == "1"


async def test_the_list_is_paged_from_the_oldest_on(client: httpx.AsyncClient) -> None:
    assert (await client.get("/series")).json() == {"series": [], "next": None}
    paths = [await store(client, name=f"mast {n}") for n in range(5)]
    assert (await client.get("/series/count")).json() == {"count": 5}
    listed: list[str] = []
    link, pages = "/series?limit=2", 0
    while link:
        page = (await client.get(link)).json()
        assert len(page["series"]) <= 2
        listed += [f"/series/{told['id']}" for told in page["series"]]
        link, pages = page["next"], pages + 1
    assert (listed, pages) == (paths, 3)
    told = (await client.get("/series", params={"limit": 1})).json()["series"][0]
    assert told == {"id": paths[0][8:], "name": "mast 0", "unit": None, "count": 2, "start": 1, "end": 2}


async def test_a_deleted_series_is_gone_and_its_name_free(client: httpx.AsyncClient) -> None:
    path = await store(client, name="mast")
    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    gone = [
        await client.delete(path),
        await client.get(path),
        await client.get(f"{path}/metrics"),
        await client.get(f"{path}/forecast"),
        await client.post(f"{path}/points", json=points((1, 1))),
    ]
    for refused in gone:
        assert refused.status_code == 404
        assert refused.headers["content-type"] == PROBLEM
    assert (await client.get("/series/count")).json() == {"count": 0}
    await store(client, name="mast")


async def test_appended_points_take_their_place_and_the_first_value_stays(client: httpx.AsyncClient) -> None:
    path = await store(client, **points((1, 1), (3, 3)))
    first = await client.post(f"{path}/points", json=points((2, 2), (3, 99), (2, 98)))
    assert (first.status_code, first.json()) == (200, {"stored": 1, "already": 2})
    even = await client.post(f"{path}/points", json={"start": 3, "interval": 1, "values": [97, 4]})
    assert even.json() == {"stored": 1, "already": 1}
    again = await client.post(f"{path}/points", json={"start": 3, "interval": 1, "values": [97, 4]})
    assert again.json() == {"stored": 0, "already": 2}
    assert await read(client, path) == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert (await client.get(path)).json()["count"] == 4


async def test_of_many_appends_at_once_each_time_keeps_one_value_that_was_sent(client: httpx.AsyncClient) -> None:
    path = await store(client, **points())

    async def append(writer: int) -> dict[str, int]:
        chunk = points(*((t, writer) for t in range(writer, writer + 20)))
        return (await client.post(f"{path}/points", json=chunk)).json()

    answers = await asyncio.gather(*(append(writer) for writer in range(20)))
    assert sum(answer["stored"] for answer in answers) == 39
    assert all(sum(answer.values()) == 20 for answer in answers)
    back = await read(client, path)
    assert [t for t, _ in back] == list(range(39))
    assert all(v <= t < v + 20 for t, v in back)


# What is sent again


@pytest.mark.parametrize("length", [2, 2 * FRESH])
async def test_under_one_key_the_same_body_makes_one_series_and_is_answered_alike(
    client: httpx.AsyncClient, length: int
) -> None:
    body = {"name": "mast", "start": 0, "interval": 1, "values": [0.5] * length}
    first = await client.post("/series", json=body, headers={"Idempotency-Key": "monday"})
    await client.post(first.headers["location"] + "/points", json=points((-1, 7)))
    again = [client.post("/series", json=body, headers={"Idempotency-Key": "monday"}) for _ in range(4)]
    for answer in await asyncio.gather(*again):
        assert (answer.status_code, answer.json()) == (first.status_code, first.json()) == (201, first.json())
        assert answer.headers["location"] == first.headers["location"]
    assert (await client.get("/series/count")).json() == {"count": 1}


@pytest.mark.parametrize("length", [2, 2 * FRESH])
async def test_of_requests_with_one_key_at_once_one_makes_the_series(client: httpx.AsyncClient, length: int) -> None:
    body = {"start": 0, "interval": 1, "values": [0.5] * length}
    at_once = [client.post("/series", json=body, headers={"Idempotency-Key": "monday"}) for _ in range(8)]
    answers = await asyncio.gather(*at_once)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await client.get("/series/count")).json() == {"count": 1}


async def test_another_body_under_a_key_used_before_is_refused(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "monday"}
    assert (await client.post("/series", json=points((1, 1)), headers=key)).status_code == 201
    answer = await client.post("/series", json=points((1, 2)), headers=key)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert "Idempotency-Key" in answer.json()["detail"]
    assert (await client.get("/series/count")).json() == {"count": 1}


async def test_a_key_is_its_owners_and_ends_with_its_series(client: httpx.AsyncClient) -> None:
    made: list[str] = []
    for who in (None, USER, BOB):
        headers = bearer(who) | {"Idempotency-Key": "monday"}
        made.append((await client.post("/series", json=points((1, 1)), headers=headers)).json()["id"])
    assert len(set(made)) == 3
    await client.delete(f"/series/{made[0]}")
    again = await client.post("/series", json=points((1, 1)), headers={"Idempotency-Key": "monday"})
    assert again.status_code == 201
    assert again.json()["id"] not in made


async def test_a_new_key_opens_no_name_that_is_taken(client: httpx.AsyncClient) -> None:
    for key, status in (("monday", 201), ("tuesday", 409), ("monday", 201)):
        body = points((1, 1)) | {"name": "mast"}
        answer = await client.post("/series", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == status


async def test_a_key_has_at_most_400_characters(client: httpx.AsyncClient) -> None:
    for key, status in (("k" * 400, 201), ("k" * 401, 400)):
        answer = await client.post("/series", json=points((1, 1)), headers={"Idempotency-Key": key})
        assert answer.status_code == status


# What is refused


async def test_a_name_that_is_taken_is_a_conflict(client: httpx.AsyncClient) -> None:
    await store(client, name="mast")
    answer = await client.post("/series", json=points((5, 5)) | {"name": "mast"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == PROBLEM
    assert "'mast'" in answer.json()["detail"]
    assert (await client.get("/series/count")).json() == {"count": 1}


async def test_a_repeated_time_is_refused_by_its_index(client: httpx.AsyncClient) -> None:
    answer = await client.post("/series", json=points((1, 1), (2, 2), (1, 3), (2, 2)))
    assert faults(answer) == [2, 3]
    assert (await client.get("/series/count")).json() == {"count": 0}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"points":[{"t":1,"v":1},]}', [None]),
        ('{"points":[{"t":1,"v":NaN}]}', [0]),
        ('{"points":[{"t":1,"v":1},{"t":2,"v":1e999}]}', [1]),
        ('{"points":[{"t":1,"v":true},{"t":2,"v":"3"},{"t":3,"v":4}]}', [0, 1]),
        ('{"points":[{"t":"noon","v":1},{"t":"2024-03-28T16:55:34","v":1}]}', [0, 1]),
        ('{"start":0,"interval":0,"values":[1]}', [None]),
        ('{"start":0,"interval":1,"values":[1],"points":[]}', [None]),
        ('{"name":"","points":[]}', [None]),
        ("{}", [None]),
        ("", [None]),
        ("[" * 100_000, [None]),
        (b"\xff\xfe", [None]),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_faulty_body_is_refused_whole_with_each_faulty_item_named(
    client: httpx.AsyncClient, body: str | bytes, expected: list[int | None]
) -> None:
    assert faults(await client.post("/series", content=body)) == expected
    assert (await client.get("/series/count")).json() == {"count": 0}
    path = await store(client)
    assert faults(await client.post(f"{path}/points", content=body)) == expected
    assert len(await read(client, path)) == 2


async def test_a_name_has_no_place_among_further_points(client: httpx.AsyncClient) -> None:
    path = await store(client)
    assert faults(await client.post(f"{path}/points", json=points((5, 5)) | {"name": "mast"})) == [None]


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("{id}", {"from": "noon", "to": "2024-03-28T16:55:34"}, ["from", "to"]),
        ("{id}", {"to": "1e300"}, ["to"]),
        ("{id}", {"from": "1e9999999", "to": "-1e99999999999999999999"}, ["from", "to"]),
        ("{id}", {"from": "9" * 5000}, ["from"]),
        ("{id}/metrics", {"from": "nan"}, ["from"]),
        ("{id}/metrics", {"to": "1e9999999"}, ["to"]),
        ("/api/mast", {"from": "1e9999999"}, ["from"]),
        (
            "{id}/forecast",
            {"horizon": "0", "level": "100", "season_length": "x"},
            ["horizon", "level.0", "season_length"],
        ),
        ("{id}/forecast", {"horizon": "1001"}, ["horizon"]),
        ("{id}/forecast", {"horizon": "9" * 5000, "season_length": "9" * 4300}, ["horizon", "season_length"]),
        ("/series", {"limit": "1001"}, ["limit"]),
        ("/series", {"limit": "many"}, ["limit"]),
    ],
)
async def test_each_faulty_parameter_is_named(
    client: httpx.AsyncClient, path: str, params: dict[str, str], named: list[str]
) -> None:
    answer = await client.get(path.format(id=await store(client)), params=params)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    assert [error["parameter"] for error in answer.json()["errors"]] == named


@pytest.mark.parametrize("path", ["{id}", "{id}/metrics"])
async def test_an_end_before_the_start_is_a_bad_request(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path.format(id=await store(client)), params={"from": "5", "to": "4.9"})
    assert answer.status_code == 400
    assert "to (4.9) is before from (5)" in answer.json()["detail"]


# Packed and large bodies


@pytest.fixture
async def small(settings: Settings, stores: Stores) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of an API that takes bodies of up to 1000 bytes."""
    async with client_of(app_of(settings.model_copy(update={"upload_max_bytes": 1000}), stores)) as client:
        yield client


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
async def test_a_body_may_be_gzipped(client: httpx.AsyncClient, coding: str) -> None:
    body = gzip.compress(json.dumps(points((1, 1), (2, 2))).encode())
    answer = await client.post("/series", content=body, headers={"Content-Encoding": coding})
    assert answer.status_code == 201
    assert await read(client, answer.headers["location"]) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("size", [1, 10, 1000, 10**9])
async def test_a_gzipped_body_may_have_several_members(client: httpx.AsyncClient, size: int) -> None:
    body = json.dumps(points(*((t, t / 3) for t in range(3000)))).encode()
    size = max(size, len(body) // 9000)
    packed = b"".join(gzip.compress(body[start : start + size]) for start in range(0, len(body), size))
    made = await client.post("/series", content=packed, headers={"Content-Encoding": "gzip"})
    assert made.status_code == 201
    assert await read(client, made.headers["location"]) == [(t, t / 3) for t in range(3000)]


async def test_gzip_of_countless_members_is_refused(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(b"") * 20_000 + gzip.compress(b"{}")
    answer = await client.post("/series", content=packed, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is of more than 10000 gzip members")


async def test_what_is_no_whole_gzip_is_refused(client: httpx.AsyncClient) -> None:
    whole = gzip.compress(json.dumps(points((1, 1))).encode())
    wrong_sum = whole[:-8] + bytes(8)
    for body in (b"{}", b"", whole[:-1], whole[:20], wrong_sum, whole + b"rest"):
        answer = await client.post("/series", content=body, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 400, body
        assert answer.headers["content-type"] == PROBLEM
    assert (await client.get("/series/count")).json() == {"count": 0}


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip"])
async def test_another_encoding_is_not_taken_and_the_answer_says_which_is(
    client: httpx.AsyncClient, coding: str
) -> None:
    path = await store(client)
    for place in ("/series", f"{path}/points", "/api"):
        answer = await client.post(place, content=b"x", headers={"Content-Encoding": coding})
        assert answer.status_code == 415
        assert answer.headers["content-type"] == PROBLEM
        assert answer.headers["accept-encoding"] == "gzip"


async def test_the_limit_holds_before_and_after_a_body_is_unpacked(small: httpx.AsyncClient) -> None:
    body = json.dumps(points((1, 1))).encode()
    for coding, pack in (("identity", bytes), ("gzip", gzip.compress)):
        headers = {"Content-Encoding": coding}
        assert (await small.post("/series", content=pack(body.ljust(1000)), headers=headers)).status_code == 201
        for place in ("/series", f"{await store(small)}/points", "/api"):
            answer = await small.post(place, content=pack(body.ljust(1001)), headers=headers)
            assert answer.status_code == 413
            assert answer.headers["content-type"] == PROBLEM
            assert "1000 bytes" in answer.json()["detail"]


async def test_a_gzip_bomb_is_refused_before_it_is_large(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(bytes(256 << 20), 9)
    async with asyncio.timeout(30):
        answer = await client.post("/series", content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


async def test_a_body_without_a_length_is_read_no_further_than_the_limit(settings: Settings, stores: Stores) -> None:
    sent = 0

    async def long() -> AsyncGenerator[bytes]:
        nonlocal sent
        for _ in range(256):
            sent += 1
            yield b" " * 65536

    async with client_of(app_of(settings.model_copy(update={"upload_max_bytes": 1 << 20}), stores)) as client:
        assert (await client.post("/series", content=long())).status_code == 413
    assert sent <= 18


# Metrics and forecasts


async def test_metrics_are_those_of_the_range(client: httpx.AsyncClient) -> None:
    v = np.random.default_rng(1).normal(1e9, 1, 5000)
    answer = await client.post("/series", json={"start": 0, "interval": 1, "values": v.tolist()})
    found = await client.get(f"{answer.headers['location']}/metrics", params={"from": 100, "to": 4099})
    part = v[100:4100]
    rms = float(np.sqrt(np.mean(part**2)))
    expected: dict[str, float] = {
        "count": 4000,
        "min": float(part.min()),
        "max": float(part.max()),
        "mean": float(part.mean()),
        "sum": float(part.sum()),
        "std": float(part.std()),
        "median": float(np.median(part)),
        "p05": float(np.quantile(part, 0.05)),
        "p95": float(np.quantile(part, 0.95)),
        "rms": rms,
        "peak_to_peak": float(np.ptp(part)),
        "crest_factor": float(np.abs(part).max()) / rms,
    }
    assert found.json() == pytest.approx(expected, rel=1e-12)
    nothing = (await client.get(f"{answer.headers['location']}/metrics", params={"from": 9999})).json()
    assert (nothing["count"], nothing["sum"], nothing["mean"]) == (0, 0, None)


async def test_a_forecast_goes_on_where_the_series_ends(client: httpx.AsyncClient) -> None:
    values = [float(n % 4) + n / 100 for n in range(80)]
    answer = await client.post("/series", json={"start": 0, "interval": 0.5, "values": values})
    asked = {"horizon": 4, "level": [80, 95], "season_length": 4}
    forecast = (await client.get(f"{answer.headers['location']}/forecast", params=asked)).json()
    assert [point["t"] for point in forecast["points"]] == [40, 40.5, 41, 41.5]
    assert [point["v"] for point in forecast["points"]] == pytest.approx([0.8, 1.81, 2.82, 3.83], abs=0.05)
    for point in forecast["points"]:
        narrow, wide = point["intervals"]
        assert (narrow["level"], wide["level"]) == (80, 95)
        assert wide["low"] < narrow["low"] < point["v"] < narrow["high"] < wide["high"]


async def test_what_is_too_short_or_uneven_can_not_be_forecast_and_the_answer_says_why(
    client: httpx.AsyncClient,
) -> None:
    short = await client.get(f"{await store(client)}/forecast")
    times = [*range(50), 70]
    uneven = await client.get(f"{await store(client, **points(*((t, t % 5) for t in times)))}/forecast")
    for answer, why in ((short, "points or more"), (uneven, "not evenly sampled")):
        assert answer.status_code == 422
        assert answer.headers["content-type"] == PROBLEM
        assert why in answer.json()["detail"]


# While a part is unavailable


async def test_while_mongodb_is_unavailable_each_route_is_503_and_a_faulty_body_still_400(settings: Settings) -> None:
    async with client_without_store(settings) as client:
        for method, path, body in EVERY_ROUTE:
            answer = await client.request(method, path.format(id="x"), json=body)
            assert answer.status_code == 503, (method, path)
            assert answer.headers["content-type"] == PROBLEM
            assert int(answer.headers["retry-after"]) > 0
        assert (await client.post("/series", json={})).status_code == 400


async def test_without_the_calculation_service_all_else_goes_on(settings: Settings, stores: Stores) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    calculation = calculation_over(httpx.MockTransport(refuse))
    async with client_of(app_of(settings, stores, calculation)) as client:
        path = await store(client, name="mast")
        for place in (f"{path}/metrics", f"{path}/forecast", "/api/mast"):
            answer = await client.get(place)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == PROBLEM
            assert int(answer.headers["retry-after"]) > 0
            assert "Calculation" in answer.json()["detail"]
        assert (await client.post(f"{path}/points", json=points((5, 5)))).json() == {"stored": 1, "already": 0}
        assert len(await read(client, path)) == 3


class Interrupted(SeriesStore):
    """A store that becomes unavailable after its first chunk."""

    async def chunks(self, *_: Any, **__: Any) -> AsyncGenerator[Samples]:
        yield Samples(np.array([1_000_000]), np.array([0.5]))
        raise StoreUnavailable("MongoDB is unavailable")


@pytest.mark.parametrize(
    ("accept", "part"), [("application/json", b'"points":[{"t":1,"v":0.5}'), ("text/csv", b"t,v\r\n1,0.5\r\n")]
)
async def test_a_failure_in_mid_stream_breaks_the_transfer_off(
    settings: Settings, database: Database, stores: Stores, accept: str, part: bytes
) -> None:
    app = app_of(settings, replace(stores, series=Interrupted(database)))
    received = b""
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        path = await store(client)
        with capture_logs(), pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", path, headers={"Accept": accept}) as answer:
                assert answer.status_code == 200
                async for chunk in answer.aiter_bytes():
                    received += chunk
    assert received.endswith(part)


# Whose a series is

POINT: dict[str, Any] = points((9, 9))
EVERY_ROUTE: list[tuple[str, str, Any]] = [
    ("POST", "/series", POINT),
    ("GET", "/series", None),
    ("GET", "/series/count", None),
    ("GET", "/series/{id}", None),
    ("GET", "/series/{id}/metrics", None),
    ("GET", "/series/{id}/forecast", None),
    ("POST", "/series/{id}/points", POINT),
    ("DELETE", "/series/{id}", None),
    ("POST", "/api", [{"name": "mast", "t": 9, "v": 9}]),
    ("GET", "/api/mast", None),
]
READS = EVERY_ROUTE[3:6]
CHANGES = EVERY_ROUTE[6:8]
PUSHES = [EVERY_ROUTE[0], EVERY_ROUTE[6], EVERY_ROUTE[7], EVERY_ROUTE[8]]
EVEN = {"start": 0, "interval": 1, "values": [float(n) for n in range(20)]}


async def test_each_route_of_series_is_tried_here(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    documented = {
        (method.upper(), path)
        for path, routes in paths.items()
        for method in routes
        if path.startswith(("/series", "/api"))
    }
    assert documented == {(method, path.replace("mast", "{name}")) for method, path, _ in EVERY_ROUTE}


@pytest.mark.parametrize("who", INVALID.values(), ids=INVALID)
async def test_a_token_that_is_not_valid_opens_no_route(client: httpx.AsyncClient, who: str) -> None:
    path = await store(client, name="mast")
    for method, place, body in EVERY_ROUTE:
        answer = await client.request(method, place.format(id=path[8:]), json=body, headers=bearer(who))
        assert answer.status_code == 401, (method, place)
        assert answer.headers["content-type"] == PROBLEM
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await client.get("/series/count")).json() == {"count": 1}


@pytest.mark.parametrize("owner", ["no token", "user"])
@pytest.mark.parametrize("asker", EVERYBODY)
@pytest.mark.parametrize(("method", "path", "body"), READS + CHANGES, ids=lambda value: str(value)[:20])
async def test_who_may_do_what_with_whose_series(
    client: httpx.AsyncClient, owner: str, asker: str, method: str, path: str, body: Any
) -> None:
    who = OLD_ADMIN if asker == "admin" else EVERYBODY[asker]
    made = await client.post("/series", json=EVEN, headers=bearer(EVERYBODY[owner]))
    place = path.format(id=made.json()["id"])
    answer = await client.request(method, place, json=body, headers=bearer(who))
    if asker in (owner, "admin"):
        assert answer.is_success
    elif owner == "no token":
        assert answer.status_code == (200 if (method, path, body) in READS else 403)
    else:
        nowhere = await client.request(method, path.format(id="none"), json=body, headers=bearer(who))
        assert (answer.status_code, answer.content) == (404, nowhere.content)
    left = (await client.get(made.headers["location"], headers=bearer(ADMIN))).json()
    if not answer.is_success:
        assert left["count"] == 20


async def test_each_sees_and_counts_his_own_and_an_administrator_all(client: httpx.AsyncClient) -> None:
    paths = {name: await store(client, who) for name, who in EVERYBODY.items() if name != "admin"}
    for name, who in EVERYBODY.items():
        expected = list(paths.values()) if name == "admin" else [paths[name]]
        listed = (await client.get("/series", headers=bearer(OLD_ADMIN if name == "admin" else who))).json()["series"]
        assert [f"/series/{told['id']}" for told in listed] == expected
        counted = await client.get("/series/count", headers=bearer(OLD_ADMIN if name == "admin" else who))
        assert counted.json() == {"count": len(expected)}


async def test_names_are_unique_per_owner(client: httpx.AsyncClient) -> None:
    for who in (None, USER, BOB, OLD_ADMIN):
        await store(client, who, name="mast")
        again = await client.post("/series", json=POINT | {"name": "mast"}, headers=bearer(who))
        assert again.status_code == 409


@pytest.mark.parametrize(("method", "path", "body"), PUSHES, ids=lambda value: str(value)[:20])
async def test_once_ingest_is_closed_writing_needs_a_token_and_reading_does_not(
    settings: Settings, stores: Stores, client: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    made = await store(client)
    async with client_of(app_of(settings.model_copy(update={"open_ingest": False}), stores)) as closed:
        refused = await closed.request(method, path.format(id=made[8:]), json=body)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert len(await read(closed, made)) == 2
        mine = await store(closed, USER)
        answer = await closed.request(method, path.format(id=mine[8:]), json=body, headers=bearer(USER))
        assert answer.is_success


# The documentation


async def test_the_documentation_tells_the_real_status_codes(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()["paths"]
    told = {
        (method.upper(), path): set(route["responses"])
        for path, routes in document.items()
        for method, route in routes.items()
        if path.startswith("/series")
    }
    always = {"401", "503", "default"}
    assert told == {
        ("POST", "/series"): always | {"201", "400", "403", "408", "409", "413", "415", "422"},
        ("GET", "/series"): always | {"200", "400"},
        ("GET", "/series/count"): always | {"200"},
        ("GET", "/series/{id}"): always | {"200", "400", "404"},
        ("DELETE", "/series/{id}"): always | {"204", "403", "404"},
        ("POST", "/series/{id}/points"): always | {"200", "400", "403", "404", "408", "413", "415"},
        ("GET", "/series/{id}/metrics"): always | {"200", "400", "404"},
        ("GET", "/series/{id}/forecast"): always | {"200", "400", "404", "422"},
    }
    assert "text/csv" in document["/series/{id}"]["get"]["responses"]["200"]["content"]


async def test_each_example_of_the_documentation_works_as_it_stands(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()["paths"]
    identifier = (await store(client))[8:]
    tried = 0
    for path, routes in document.items():
        for route in routes.values():
            for content in route.get("requestBody", {}).get("content", {}).values():
                for example in content.get("examples", {}).values() if path.startswith(("/series", "/api")) else ():
                    for _ in range(2):
                        answer = await client.post(path.format(id=identifier), json=example["value"])
                        assert answer.is_success, (path, answer.text)
                    tried += 1
    assert tried == 5
