"""The load balancer in front of two real processes of the API, which share the engines of a `serve`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from datacosmos.domain.changes import Accepted
from datacosmos.engines.data_dir import free_port
from tests.process.deploy.balancer import NGINX, REPLICAS, name_server, nginx
from tests.process.faults.senders import record
from tests.process.faults.subscribers import Changes, Client, event_source, gql_websocket
from tests.programs import NO_CALCULATION, Program, program, run

CLIENTS: tuple[Client, ...] = (event_source, gql_websocket)
MAST = Accepted("sensors/mast")
pytestmark = pytest.mark.skipif(not NGINX.exists(), reason="there is no wheel of nginx for this system")


def exports(address: str) -> float:
    """How many exports an API process has answered, as its metrics have it."""
    counted = 'datacosmos_request_seconds_count{method="GET",route="/points",status="200"} '
    lines = httpx.get(f"{address}/metrics", timeout=30).text.splitlines()
    return sum(float(line.removeprefix(counted)) for line in lines if line.startswith(counted))


@dataclass(frozen=True)
class Door:
    url: str
    secret: str

    def token(self) -> str:
        return self.secret


async def first_of(frames: AsyncGenerator[Changes]) -> Changes:
    """The first changes that aren't a heartbeat."""
    async with asyncio.timeout(60), aclosing(frames):
        return await anext(changes async for changes in frames if changes["events"])


@pytest.mark.timeout(240)
async def test_two_api_processes_answer_behind_one_address_and_one_that_is_killed_costs_no_request_and_no_change(
    tmp_path: Path,
) -> None:
    port = str(free_port(0))
    async with AsyncExitStack() as started:
        await started.enter_async_context(program(tmp_path, "serve", "--port", "0", **NO_CALCULATION))
        apis: dict[str, Program] = {}
        for address in REPLICAS:
            folder = tmp_path / address
            folder.mkdir()
            where = ("--host", address, "--port", port, "--data-dir", str(tmp_path / "data"))
            apis[address] = await started.enter_async_context(program(folder, "api", *where))
        resolver = started.enter_context(name_server("api", REPLICAS))
        front = {
            "LISTEN": f"127.0.0.1:{free_port(0)}",
            "RESOLVER": f"127.0.0.1:{resolver}",
            "API_SERVER": f"api:{port}",
        }
        client = started.enter_context(nginx(tmp_path, **front))

        sent = {"start": 1_700_000_000, "interval": 1, "values": list(range(100_000))}
        stored = client.post("/series", json=sent)
        assert stored.status_code == 201, stored.text
        for _ in range(10):
            read = client.get(stored.headers["location"]).json()["points"]
            assert [point["v"] for point in read] == sent["values"]
        assert [client.get("/points").json() for _ in range(10)] == [[]] * 10
        first, second = (exports(api.address) for api in apis.values())
        assert first > 0
        assert second > 0
        assert first + second == 10

        _, token, _ = await run("token", "--role", "user", folder=tmp_path)
        door = Door(str(client.base_url).rstrip("/"), token.strip())
        client.post("/sensors", content=record("mast", at="2026-01-01T00:00:01")).raise_for_status()
        followed = [await first_of(follow(door, MAST, {"start": "2026-01-01T00:00:00Z"})) for follow in CLIENTS]

        await apis[REPLICAS[0]].kill()
        client.post("/sensors", content=record("mast", at="2026-01-01T00:00:02")).raise_for_status()
        for follow, changes in zip(CLIENTS, followed, strict=True):
            [change] = (await first_of(follow(door, MAST, {"after": changes["cursor"]})))["events"]
            assert change["point"]["id"] != changes["events"][0]["point"]["id"]
        for _ in range(20):
            assert client.get("/points").status_code == 200
        assert exports(apis[REPLICAS[1]].address) == second + 20
