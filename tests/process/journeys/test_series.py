"""From points that people push to what they read back and have calculated, as seen from outside."""

import asyncio
import random
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from datacosmos.engines.data_dir import free_port
from tests.programs import Program, program, run

SIZES = (3, 700, 9000)
NAMES = ("mast", "roof/north")
KILLS, WRITERS = 3, 4


def client(service: Program) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.address, timeout=30)


def serve(folder: Path, **variables: str) -> Any:
    return program(folder, "serve", "--port", "0", **variables)


async def token(folder: Path, subject: str) -> dict[str, str]:
    _, out, _ = await run("token", "--role", "user", "--subject", subject, folder=folder)
    return {"Authorization": f"Bearer {out.strip()}"}


async def answered(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    """Once a service that has just been started or stopped gives that status."""
    async with asyncio.timeout(30):
        while (answer := await client.get(path)).status_code != status:
            await asyncio.sleep(0.05)
    return answer


async def test_a_series_is_stored_continued_measured_forecast_read_and_deleted(tmp_path: Path) -> None:
    async with serve(tmp_path) as service, client(service) as api:
        api.headers.update(await token(tmp_path, "ada"))
        values = [float(n % 12) for n in range(120)]
        made = await api.post("/series", json={"name": "mast", "start": 0, "interval": 1, "values": values[:100]})
        path = made.headers["location"]
        rest = [{"name": "mast", "t": 90 + n, "v": v} for n, v in enumerate(values[90:])]
        assert (await api.post("/api", json=rest)).json() == {"stored": 20, "already": 10}
        whole = (await api.get(path)).json()
        assert [point["v"] for point in whole["points"]] == values
        assert (await answered(api, "/api/mast?from=12&to=23", 200)).json() == {"avg": 5.5, "sum": 66}
        assert (await api.get(f"{path}/metrics")).json()["peak_to_peak"] == 11
        forecast = (await answered(api, f"{path}/forecast?horizon=12&season_length=12", 200)).json()
        assert [point["v"] for point in forecast["points"]] == pytest.approx(values[:12], abs=0.1)
        assert (await service.get(path)).status_code == 404
        assert (await api.delete(path)).status_code == 204
        assert (await api.get("/api/mast")).status_code == 404


class Writers:
    """Clients that push without a pause; each request has times of its own, and its number for all its values."""

    def __init__(self) -> None:
        self._numbers = count()
        self.acknowledged = set[int]()

    async def push(self, api: httpx.AsyncClient) -> None:
        while True:
            number = next(self._numbers)
            points = [
                {"name": name, "t": number * 10_000 + n, "v": number} for n in range(size_of(number)) for name in NAMES
            ]
            answer = await api.post("/api", json=points)
            assert answer.json() == {"stored": len(points), "already": 0}
            self.acknowledged.add(number)

    async def until_killed(self, service: Program) -> None:
        """Returns once the service is killed in the middle of their requests."""
        async with client(service) as api:
            writers = [asyncio.create_task(self.push(api)) for _ in range(WRITERS)]
            enough = len(self.acknowledged) + random.randrange(5, 15)
            async with asyncio.timeout(60):
                while len(self.acknowledged) < enough:
                    await asyncio.sleep(random.random() / 50)
            await service.kill()
            outcomes = await asyncio.gather(*writers, return_exceptions=True)
        assert all(isinstance(outcome, httpx.TransportError) for outcome in outcomes), outcomes


def size_of(number: int) -> int:
    return SIZES[number % len(SIZES)]


async def test_killed_in_mid_append_each_request_is_whole_or_untouched_and_writing_goes_on_at_once(
    tmp_path: Path,
) -> None:
    writers = Writers()
    async with serve(tmp_path) as service:
        for _ in range(KILLS):
            await writers.until_killed(service)
            await service.start()
            async with client(service) as api, asyncio.timeout(30):
                push = await api.post("/api", json=[{"name": name, "t": -1, "v": 0} for name in NAMES])
                assert push.status_code == 201
                found = [await stored(api, name) for name in NAMES]
            assert found[0] == found[1]
            assert all(amount == size_of(number) for number, amount in found[0].items())
            assert writers.acknowledged <= found[0].keys()


async def stored(api: httpx.AsyncClient, name: str) -> Counter[int]:
    """How many points there are of each request under that name."""
    listed = (await api.get("/series")).json()["series"]
    [told] = [told for told in listed if told["name"] == name]
    points = (await api.get(f"/series/{told['id']}")).json()["points"]
    assert len(points) == told["count"]
    assert all(point["t"] // 10_000 == point["v"] for point in points if point["t"] >= 0)
    return Counter(int(point["v"]) for point in points if point["t"] >= 0)


async def test_while_the_calculation_service_is_stopped_writing_goes_on(tmp_path: Path) -> None:
    port = str(free_port(0))
    async with (
        serve(tmp_path, DATACOSMOS_CALCULATION_URL=f"http://127.0.0.1:{port}") as service,
        program(tmp_path, "calculation", "--port", port) as calculation,
        client(service) as api,
    ):
        assert (await api.post("/api", json=[{"name": "a", "t": 1, "v": 2}])).status_code == 201
        assert (await api.get("/api/a")).json() == {"avg": 2, "sum": 2}
        assert await calculation.stop() == 0
        unavailable = await api.get("/api/a")
        assert unavailable.status_code == 503
        assert int(unavailable.headers["retry-after"]) > 0
        assert (await api.post("/api", json=[{"name": "a", "t": 2, "v": 4}])).status_code == 201
        assert (await api.get("/health")).json()["parts"]["calculation"]["status"] == "unavailable"
        await calculation.start()
        assert (await api.get("/api/a")).json() == {"avg": 3, "sum": 6}
