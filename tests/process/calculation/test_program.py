"""The service as a program: `datacosmos calculation` beside others, and as a child of `datacosmos serve`."""

import asyncio
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from datacosmos.auth.issuers import SharedSecret
from datacosmos.auth.secret import load_secret
from datacosmos.calculation.client import ByName, Calculation, connect
from datacosmos.engines import embedded_engines, running_engines
from datacosmos.errors import CalculationUnavailable, UnknownSeries
from datacosmos.settings import Settings
from datacosmos.store.mongo import connection
from datacosmos.store.series.series import SeriesStore
from tests.made_series import seasonal
from tests.processes import Watched, children_of
from tests.programs import Program, program, run

SOON = timedelta(seconds=5)
MAST = ByName("ada", "mast")


def secret_of(folder: Path) -> str:
    """That of the data directory, made where there is none."""
    return load_secret(Settings(data_dir=folder / "data", mongodb_url=None, jwt_secret=None), make=True)


@asynccontextmanager
async def client(folder: Path, address: str) -> AsyncGenerator[Calculation]:
    """With the secret of the data directory, and time enough for a program that starts again."""
    async with connect(address, issuer=SharedSecret(secret_of(folder)), timeout=timedelta(seconds=30)) as calculation:
        yield calculation


async def store_series(url: str | None) -> None:
    assert url
    async with connection.connect(url, "datacosmos", SOON) as database:
        store = SeriesStore(database)
        await store.prepare()
        await store.create("ada", "mast", "m/s", seasonal(1000, 12))


async def started(pid: int, count: int, but: int = 0) -> list[Watched]:
    """The calculating children of a process, once there are as many."""
    async with asyncio.timeout(30):
        while len(found := [child for child in children_of(pid, "calculation", "--listener") if child != but]) < count:
            await asyncio.sleep(0.02)
    return [Watched(child) for child in found]


async def gone(address: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            await client.get(f"{address}/health/live", timeout=1)
        except httpx.ConnectError:
            return True
    return False


async def test_it_runs_on_the_engines_of_a_data_directory_in_as_many_processes_as_are_wanted(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path / "data", nats=False):
        secret_of(tmp_path)
        await store_series(running_engines(tmp_path / "data").mongodb_url)
        arguments = ("calculation", "--port", "0", "--workers", "2", "--data-dir", "data")
        async with program(tmp_path, *arguments) as service, client(tmp_path, service.address) as calculation:
            first, second = await started(service.pid, 2)
            assert (await calculation.average(MAST)).count == 1000
            first.kill()
            await first.ended()
            assert (await calculation.average(MAST)).count == 1000
            [_, new] = await started(service.pid, 2, but=first.pid)
            assert len((await calculation.forecast(MAST, horizon=3, levels=[80])).points) == 3
            await service.kill()
            await asyncio.gather(second.ended(), new.ended())
            assert await gone(service.address)
            with pytest.raises(CalculationUnavailable):
                await calculation.average(MAST)


async def test_a_clean_stop_leaves_no_process_and_no_complaint(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path / "data", nats=False):
        secret_of(tmp_path)
        for workers in ("1", "2"):
            arguments = ("calculation", "--port", "0", "--workers", workers, "--data-dir", "data")
            async with program(tmp_path, *arguments) as service, client(tmp_path, service.address) as calculation:
                with pytest.raises(UnknownSeries):
                    await calculation.average(MAST)
                assert await service.stop() == 0
                assert await gone(service.address)
        assert not re.search(r"Traceback|leaked|\"level\": \"(warning|error)", service.log)


async def test_serve_runs_it_too_on_a_free_port_where_its_own_is_taken_and_ends_with_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        variables = {"DATACOSMOS_CALCULATION_PORT": str(taken.getsockname()[1])}
        async with program(tmp_path, "serve", "--port", "0", **variables) as service:
            [child] = await started(service.pid, 1)
            await answers(service)
            child.kill()
            [child] = await started(service.pid, 1, but=child.pid)
            await answers(service)
            await service.kill()
            await child.ended()


async def answers(service: Program) -> None:
    """Returns once the API's health says that calculations are answered."""
    async with asyncio.timeout(30):
        while (await service.get("/health")).json()["parts"]["calculation"]["status"] != "ok":
            await asyncio.sleep(0.05)


async def test_without_engines_it_says_what_to_do(tmp_path: Path) -> None:
    code, _, err = await run("calculation", folder=tmp_path)
    assert code == 1
    assert "datacosmos serve" in err.splitlines()[-1]
    assert "Traceback" not in err
