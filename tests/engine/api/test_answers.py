"""HEAD, and answers that are packed, on routes of every kind."""

import gzip
from typing import Any

import httpx
import pytest

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import NOON, SECOND, app_of, point
from tests.unpacking import UNPACKERS, zstd

PATHS = [
    *("/", "/docs", "/openapi.json", "/health/live", "/metrics", "/points", "/series", "/series/count", "/series/x"),
    *("/series/x/metrics", "/series/x/forecast", "/api/x", "/graphql?query={__typename}", "/nothing", "/points?x=1"),
]
OWN = {"date", "x-request-id", "content-length"}
LONG = 3000


async def store(stores: Stores) -> None:
    await stores.points.add([point(NOON + n * SECOND, value=float(n)) for n in range(LONG)])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accept", ["identity", "gzip", "gzip, zstd"])
async def test_head_is_answered_with_the_head_of_what_get_is(client: httpx.AsyncClient, path: str, accept: str) -> None:
    headers = {"Accept-Encoding": accept}
    got, head = await client.get(path, headers=headers), await client.head(path, headers=headers)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert got.headers.keys() - OWN == head.headers.keys() - OWN
    assert head.headers.get("vary") == got.headers.get("vary")
    if "content-encoding" in got.headers:
        assert "content-length" not in head.headers  # which is known once all is packed
    elif path != "/metrics":
        assert head.headers.get("content-length") == got.headers.get("content-length")


async def test_head_is_not_for_routes_without_get(client: httpx.AsyncClient) -> None:
    answer = await client.head("/sensors")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_an_address_that_is_told_has_the_scheme_that_a_proxy_was_asked_by(client: httpx.AsyncClient) -> None:
    answer = await client.get("/points/", headers={"X-Forwarded-Proto": "https"})
    assert (answer.status_code, answer.headers["location"]) == (307, f"https://{client.base_url.host}/points")


async def test_head_of_a_long_answer_leaves_the_connection_whole(settings: Settings, stores: Stores) -> None:
    await store(stores)
    limits = httpx.Limits(max_connections=1)
    async with (
        serving(app_of(settings, stores), settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient(base_url=address, limits=limits) as client,
    ):
        for _ in range(3):
            answer = await client.head("/points")
            assert (answer.status_code, answer.content) == (200, b"")
            answer = await client.head("/graphql?query={points{time,value}}", headers={"Accept-Encoding": "identity"})
            assert (answer.status_code, int(answer.headers["content-length"]) > 100_000) == (200, True)
            assert len((await client.get("/points")).json()) == LONG


async def raw(client: httpx.AsyncClient, path: str, accept: str, **asked: Any) -> tuple[httpx.Response, list[bytes]]:
    """The answer, and its body in the parts in which it came, packed as it was."""
    request = client.build_request(
        "POST" if asked else "GET", path, headers={"Accept-Encoding": accept}, json=asked or None
    )
    answer = await client.send(request, stream=True)
    parts = [part async for part in answer.aiter_raw()]
    await answer.aclose()
    return answer, parts


@pytest.mark.parametrize(
    ("path", "asked"), [("/points", {}), ("/graphql", {"query": "{ points { time value } }"}), ("/openapi.json", {})]
)
@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5, *;q=0.1", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("ZSTD ; q=0.5", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("zstd;q=0, gzip;q=0.001", "gzip"),
        ("*", "gzip"),
        ("zstd;q=0.0, *;q=0", None),
        ("gzip;q=0, identity", None),
        ("identity, gzip;q=0.5, zstd;q=0.9", None),
        ("gzip;q=high", None),
        ("identity", None),
        ("deflate", None),
        ("xgzip", None),
        ("", None),
    ],
)
async def test_a_long_answer_is_packed_as_its_client_likes_it_best(
    client: httpx.AsyncClient, stores: Stores, path: str, asked: dict[str, Any], accept: str, coding: str | None
) -> None:
    await store(stores)
    _, parts = await raw(client, path, "identity", **asked)
    answer, packed = await raw(client, path, accept, **asked)
    body = b"".join(packed)
    assert "Accept-Encoding" in answer.headers["vary"]
    assert answer.headers.get("content-encoding") == coding
    if coding:
        assert len(body) < len(b"".join(parts)) / 2
        body = gzip.decompress(body) if coding == "gzip" else zstd.decompress(body)
    assert body == b"".join(parts)


async def test_gzip_may_be_named_in_a_header_of_its_own(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json", headers=[("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")])
    assert answer.headers["content-encoding"] == "gzip"


async def test_short_answers_and_problems_are_sent_as_they_are(client: httpx.AsyncClient) -> None:
    many = "&".join(f"{'x' * 60}{n}=1" for n in range(30))
    for path in ("/series/count", "/graphql?query={__typename}", "/nothing", f"/points?{many}"):
        answer = await client.get(path)
        assert "content-encoding" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_long_answer_is_packed_piece_by_piece(settings: Settings, stores: Stores, coding: str) -> None:
    """Each piece can be unpacked as it comes, before the next is there."""
    await store(stores)
    async with (
        serving(app_of(settings, stores), settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        request = client.build_request("GET", "/points", headers={"Accept-Encoding": coding})
        answer = await client.send(request, stream=True)
        assert "content-length" not in answer.headers
        first = UNPACKERS[coding]().decompress(await anext(answer.aiter_raw()))
        assert first.startswith(b"[")
        await answer.aclose()
