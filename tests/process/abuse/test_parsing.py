"""Uploads that take long to parse: who waits for them, and how many may wait."""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.spellings import FORMS, measure
from datacosmos.settings import Settings
from datacosmos.store.series.roots import Series
from datacosmos.store.series.series import SeriesStore
from datacosmos.store.stores import Stores
from tests.asking import app_of, client_of
from tests.programs import NO_CALCULATION, program

PIECE = 1 << 20
ITEM = b'{"name":"m]st","t":1711644934,"v":4.25},'
READINGS = b"\n".join([json.dumps({"id": "a1", "type": "Sensor", "content": {}}).encode()] * 200)


def long_list(size: int) -> bytes:
    """Points of which the last has a fault, so that all of them are parsed and none is stored."""
    return b"[" + ITEM * (size // len(ITEM)) + b"7]"


async def send(client: httpx.AsyncClient, body: bytes, sent: asyncio.Event) -> httpx.Response:
    async def pieces() -> AsyncGenerator[bytes]:
        for begin in range(0, len(body), PIECE):
            yield body[begin : begin + PIECE]
        sent.set()

    return await client.post("/api", content=pieces(), timeout=300)


@pytest.mark.serial
async def test_readings_are_taken_while_eight_uploads_of_60_mib_wait(tmp_path: Path) -> None:
    body = long_list(60 << 20)
    events = [asyncio.Event() for _ in range(8)]
    async with (
        program(tmp_path, "serve", "--port", "0", DATACOSMOS_BODIES_MAX_BYTES="1GiB", **NO_CALCULATION) as service,
        httpx.AsyncClient(base_url=service.address, timeout=120) as client,
    ):
        uploads = [asyncio.create_task(send(client, body, sent)) for sent in events]
        await asyncio.gather(*(sent.wait() for sent in events))
        while sum(upload.done() for upload in uploads) < 6:
            for asked in (client.post("/sensors", content=READINGS), client.get("/health/live")):
                assert await finished_during(asked, uploads) <= 1
        answers = await asyncio.gather(*uploads)
    parsed = [answer for answer in answers if answer.status_code == 400]
    assert len(parsed) >= 2
    # Where the machine is busy, the last ones' turn may come too late.
    assert all(
        answer.status_code == 503 and answer.headers["retry-after"] for answer in answers if answer not in parsed
    )


async def finished_during(
    asked: Coroutine[Any, Any, httpx.Response], uploads: list[asyncio.Task[httpx.Response]]
) -> int:
    """How many uploads were parsed between a request and its answer, which must be a good one."""
    before = count_parsed(uploads)
    (await asked).raise_for_status()
    return count_parsed(uploads) - before


def count_parsed(uploads: list[asyncio.Task[httpx.Response]]) -> int:
    return sum(upload.done() and upload.result().status_code == 400 for upload in uploads)


@pytest.mark.serial
async def test_large_uploads_beyond_those_that_may_wait_are_told_to_come_again(tmp_path: Path) -> None:
    packed = gzip.compress(long_list(12 << 20))
    async with (
        program(tmp_path, "serve", "--port", "0", **NO_CALCULATION) as service,
        httpx.AsyncClient(base_url=service.address, timeout=120, limits=httpx.Limits(max_connections=80)) as client,
    ):
        headers = {"Content-Encoding": "gzip"}
        answers = await asyncio.gather(*(client.post("/api", content=packed, headers=headers) for _ in range(60)))
        counted = (await client.get("/metrics")).text
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert all(answer.headers["retry-after"] for answer in refused)
    assert {answer.status_code for answer in answers} == {400, 503}
    assert f'datacosmos_refused_total{{bound="uploads"}} {len(refused)}.0' in counted


@pytest.mark.serial
@pytest.mark.parametrize("form", FORMS)
def test_no_spelling_takes_much_longer_to_parse_than_the_plain_one(form: str) -> None:
    slow = [taken for taken in measure(FORMS[form], 256 << 10, rounds=7) if taken.is_slow]
    again = {taken.spelling for taken in measure(FORMS[form], 256 << 10, rounds=20) if taken.is_slow} if slow else ()
    assert [taken for taken in slow if taken.spelling in again] == []


async def test_packed_pushes_are_in_hand_two_at_a_time_until_they_are_stored(
    settings: Settings, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(b'{"start":0,"interval":1,"values":[' + b"1," * ((4 << 19) - 50) + b"1]}")
    in_hand, most = 0, 0
    create = SeriesStore.create

    async def watched(store: SeriesStore, *arguments: Any) -> Series:
        nonlocal in_hand, most
        in_hand += 1
        most = max(most, in_hand)
        try:
            return await create(store, *arguments)
        finally:
            in_hand -= 1

    monkeypatch.setattr(SeriesStore, "create", watched)
    async with client_of(app_of(settings, stores)) as client:
        headers = {"Content-Encoding": "gzip"}
        answers = await asyncio.gather(*(client.post("/series", content=packed, headers=headers) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
    assert most == 2


@pytest.mark.parametrize("end", [b"", gzip.compress(b"", mtime=0)])
async def test_a_packed_push_counts_as_what_it_is_however_little_it_tells(
    settings: Settings, stores: Stores, end: bytes
) -> None:
    packed = gzip.compress(b'{"start":0,"interval":1,"values":[' + b"1," * 200_000 + b"1]}") + end
    async with client_of(app_of(settings, stores)) as client:
        answer = await client.post("/series", content=packed, headers={"Content-Encoding": "gzip"})
    assert answer.json()["count"] == 200_001
