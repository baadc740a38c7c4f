"""Bodies and headers that no description would think of, on every route that takes any."""

import asyncio
import gzip
import json
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asking import LOCATION, USER
from tests.engine.fuzz.conftest import bounded

RECORD = {
    "id": "a1",
    "type": "Sensor",
    "content": {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"},
}
POINTS = [{"t": 1711644934, "v": 4.2}, {"t": "2024-03-28T17:00:00Z", "v": 1}]
# What a body of each route looks like when nothing is wrong with it.
ROUTES: dict[tuple[str, str], Any] = {
    ("PUT", "/location"): LOCATION,
    ("POST", "/sensors"): [RECORD, RECORD],
    ("POST", "/series"): {"name": "mast", "unit": "m/s", "points": POINTS},
    ("POST", "/series/{id}/points"): POINTS,
    ("POST", "/api"): [{"name": "mast", **point} for point in POINTS],
    ("POST", "/graphql"): {
        "query": "query ($s: String!) { points(series: $s) { value } }",
        "variables": {"s": "datacosmos"},
        "operationName": None,
    },
}
TEXTS = st.text() | st.sampled_from(["\ud800", "\0", "a" * 3000, "NaN", "2019-06-24T15:00:00", "9" * 400, "null", ""])
NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**400, -0.0, 1e308, 5e-324, float("nan"), float("-inf"), True])
)
VALUES = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
NESTED = st.tuples(
    st.sampled_from(["[", '{"a":', '[{"t":1,"v":', '{"points":[']), st.sampled_from([50, 1000, 100_000])
).map(lambda pair: (pair[0] * pair[1]).encode())
SOUP = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", ",", ":", '"', "\\", "\n", " ", "1", "-", "e9", "NaN", "null", '"id"', '"t"', "\x00"]
    )
).map(lambda parts: "".join(parts).encode())
NAMES = [
    "Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type", "Cookie", "Idempotency-Key",
    "If-Match", "Origin", "Range", "X-Forwarded-For", "X-Forwarded-Host", "X-Request-ID",
]  # fmt: skip
LIKELY = [
    "gzip", "identity", "gzip, gzip", "application/json; charset=utf-16", "text/csv", "*/*;q=9", "text/html", "Bearer",
    "Bearer " + "x" * 5000, f"Bearer {USER}", "application/x-ndjson", "a" * 256,
]  # fmt: skip
ODD = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=["Cc"]), max_size=40)
HEADERS = st.dictionaries(st.sampled_from(NAMES), ODD | st.sampled_from(LIKELY), max_size=3)


def changed(whole: Any, path: list[int], new: Any) -> Any:
    """A copy with one part, found by walking the path, replaced; left out where `new` is `...`."""
    if not path or not isinstance(whole, dict | list) or not whole:
        return new
    is_list = isinstance(whole, list)
    parts: dict[Any, Any] = (
        dict(enumerate(cast("list[Any]", whole))) if is_list else dict(cast("dict[str, Any]", whole))
    )
    key = list(parts)[path[0] % len(parts)]
    parts[key] = changed(parts[key], path[1:], new)
    if parts[key] is ...:
        del parts[key]
    return list(parts.values()) if is_list else parts


def bodies(whole: Any) -> st.SearchStrategy[bytes]:
    """Of every kind, most of them nearly right."""
    right = json.dumps(whole).encode()
    paths = st.lists(st.integers(0, 9), min_size=1, max_size=4)
    nearly = st.builds(changed, st.just(whole), paths, VALUES | st.just(...)).map(_encoded)
    places = st.integers(0, len(right) - 1)
    cut = places.map(lambda at: right[:at])
    junk = st.tuples(places, st.binary(min_size=1, max_size=4))
    broken = junk.map(lambda pair: right[: pair[0]] + pair[1] + right[pair[0] :])
    return nearly | nearly | cut | broken | SOUP | NESTED | st.binary() | VALUES.map(_encoded)


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def packed(body: bytes, how: int) -> tuple[bytes, dict[str, str]]:
    """As it is for most; else gzipped, cut, followed by something, or not gzipped at all though it says so."""
    zipped = gzip.compress(body, mtime=0)
    versions = [zipped, zipped[: len(zipped) // 2], zipped + b"x", body, zipped + zipped, b""]
    return (body, {}) if how >= len(versions) else (versions[how], {"Content-Encoding": "gzip"})


def check(answer: httpx.Response, documented: set[str], *, problems: bool) -> None:
    said = f"{answer.status_code} {answer.text[:500]}"
    assert answer.status_code < 500, said
    assert "Traceback" not in answer.text
    assert '"INTERNAL"' not in answer.text
    assert str(answer.status_code) in documented, said
    if problems and answer.status_code >= 400:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["status"] == answer.status_code
        assert problem["title"]
        assert problem["detail"]


def hammer(address: str, method: str, route: str, whole: Any) -> None:
    with httpx.Client(base_url=address, timeout=30) as client:
        documented = set(client.get("/openapi.json").json()["paths"][route][method.lower()]["responses"])
        path = route
        if "{id}" in route:
            path = client.post("/series", json={"points": POINTS}).headers["location"] + "/points"

        @bounded(150)
        @given(bodies(whole), HEADERS, st.integers(0, 40))
        def each(body: bytes, headers: dict[str, str], how: int) -> None:
            sent, packing = packed(body, how)
            all_headers = {"Content-Type": "application/json"} | headers | packing
            raw = [(name.encode(), value.encode("latin-1")) for name, value in all_headers.items()]
            answer = client.request(method, path, content=sent, headers=raw)
            check(answer, documented, problems=route != "/graphql")

        each()
        assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=str)
async def test_no_body_and_no_header_breaks_a_route(address: str, method: str, route: str) -> None:
    await asyncio.to_thread(hammer, address, method, route, ROUTES[method, route])
