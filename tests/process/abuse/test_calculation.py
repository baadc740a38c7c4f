"""Sixty who ask for metrics of a series of 999,000 points at once: who is answered, and with how much memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest

from tests.processes import children_of
from tests.programs import program

POINTS, ASKERS = 999_000, 60
VALUES = np.random.default_rng(1).normal(1e9, 1, POINTS)


@asynccontextmanager
async def stored(folder: Path, **variables: str) -> AsyncGenerator[tuple[httpx.AsyncClient, int]]:
    """A client whose base is a stored series, and the process that calculates."""
    body = orjson.dumps({"start": 0, "interval": 1, "values": VALUES}, option=orjson.OPT_SERIALIZE_NUMPY)
    async with program(folder, "serve", "--port", "0", **variables) as service:
        [calculating] = children_of(service.pid, "calculation", "--listener")
        limits = httpx.Limits(max_connections=ASKERS)
        async with httpx.AsyncClient(base_url=service.address, timeout=120, limits=limits) as client:
            made = await client.post("/series", content=body)
            client.base_url = client.base_url.join(made.headers["location"] + "/")
            yield client, calculating


async def ask(client: httpx.AsyncClient, starts: Sequence[int]) -> list[httpx.Response]:
    return await asyncio.gather(*(client.get("metrics", params={"from": start}) for start in starts))


async def ask_again(client: httpx.AsyncClient, start: int) -> httpx.Response:
    """As often as the answer says that one may."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get("metrics", params={"from": start})
            if answer.status_code == 200:
                return answer
            await asyncio.sleep(int(answer.headers["retry-after"]))


def peak_memory(pid: int) -> int:
    """Bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


pytestmark = pytest.mark.serial


async def test_sixty_who_ask_for_long_metrics_are_answered_in_turn_and_in_little_memory(tmp_path: Path) -> None:
    async with stored(tmp_path, DATACOSMOS_CALCULATION_TIMEOUT="30s") as (client, calculating):
        answers = await ask(client, range(ASKERS))
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
        assert Counter(answer.status_code for answer in answers)[200] >= 30
        assert {answer.json()["count"] for answer in answers if answer.status_code == 200} <= {
            POINTS - start for start in range(ASKERS)
        }
        assert peak_memory(calculating) < 400 << 20


async def test_sixty_who_ask_the_same_cost_one_calculation(tmp_path: Path) -> None:
    async with stored(tmp_path, DATACOSMOS_CALCULATION_MAX_POINTS="1000000") as (client, calculating):
        before = peak_memory(calculating)
        answers = await ask(client, [7] * ASKERS)
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["sum"] for answer in answers} == {answers[0].json()["sum"]}
        assert peak_memory(calculating) - before < 100 << 20


async def test_those_whose_turn_would_come_too_late_are_told_to_come_again(tmp_path: Path) -> None:
    few = {"DATACOSMOS_CALCULATION_MAX_POINTS": "1000000", "DATACOSMOS_CALCULATION_TIMEOUT": "1s"}
    async with stored(tmp_path, **few) as (client, _):
        answers = await ask(client, range(ASKERS))
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses.keys() <= {200, 503}
        assert statuses[503]
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
        assert (await ask_again(client, POINTS - 10)).json()["count"] == 10
