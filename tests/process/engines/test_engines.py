"""How the engines start, end, and start again, as seen by those who use them."""
# pyright: reportUnknownMemberType=false

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest

from datacosmos.engines import Endpoints, embedded_engines, running_engines
from datacosmos.errors import EngineError, StoreUnavailable
from datacosmos.store.mongo.connection import Database, ping
from tests.process.engines.contents import connect_to, fill, found
from tests.processes import Watched, engine_pid, holder


async def stranger_at(url: str | None) -> asyncio.Server:
    """Somebody else who listens at an engine's address, and hangs up on whoever calls."""
    parts = urlsplit(url or "")
    return await asyncio.start_server(lambda _reader, writer: writer.close(), parts.hostname, parts.port)


async def serves_again(database: Database) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await ping(database)
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_data_and_addresses_outlive_a_restart(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path) as first:
        await fill(first, "kept")
    async with embedded_engines(tmp_path) as second:
        assert second == first
        assert await found(second) == ("kept", "kept")


async def test_killed_with_its_engines_it_starts_again_at_once_with_all_data(tmp_path: Path) -> None:
    async with holder(tmp_path) as process:
        await fill(running_engines(tmp_path), "kept")
        engines = [Watched(engine_pid(tmp_path, name)) for name in ("mongod", "nats-server")]
        process.kill()
        for engine in engines:
            await engine.ended()
    async with embedded_engines(tmp_path) as endpoints:
        assert await found(endpoints) == ("kept", "kept")


async def test_the_interrupt_of_a_terminal_reaches_no_engine_and_ends_them_in_order(tmp_path: Path) -> None:
    async with holder(tmp_path) as process:
        pids = [engine_pid(tmp_path, name) for name in ("mongod", "nats-server")]
        assert os.getpgid(process.pid) not in {os.getpgid(pid) for pid in pids}
        engines = [Watched(pid) for pid in pids]
        process.send_signal(signal.SIGINT)
        for engine in engines:
            await engine.ended()
        assert await process.wait() != 0
    assert '"exitCode":0' in (tmp_path / "mongod.log").read_text()
    assert "Server Exiting" in (tmp_path / "nats-server.log").read_text()


async def test_a_taken_port_is_replaced_and_there_is_a_primary_with_the_data(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path) as first:
        await fill(first, "kept")
    async with (
        await stranger_at(first.mongodb_url),
        await stranger_at(first.nats_url),
        embedded_engines(tmp_path) as second,
    ):
        assert second.mongodb_url != first.mongodb_url
        assert second.nats_url != first.nats_url
        assert await found(second) == ("kept", "kept")
        await fill(second, "new")
        assert await found(second) == ("new", "new")


async def test_a_killed_mongod_comes_back_at_the_same_address(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path, nats=False) as endpoints, connect_to(endpoints) as database:
        await database["things"].insert_one({"_id": "kept"})
        for _ in range(2):
            engine = Watched(engine_pid(tmp_path, "mongod"))
            engine.kill()
            await engine.ended()
            await serves_again(database)
        assert await database["things"].find_one() == {"_id": "kept"}


async def test_a_killed_nats_server_comes_back_at_the_same_address(tmp_path: Path) -> None:
    back = asyncio.Event()

    async def reconnected() -> None:
        back.set()

    async with embedded_engines(tmp_path, mongodb=False) as endpoints:
        assert endpoints.nats_url
        client = await nats.connect(
            endpoints.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, reconnected_cb=reconnected
        )
        Watched(engine_pid(tmp_path, "nats-server")).kill()
        async with asyncio.timeout(20):
            await back.wait()
        await client.close()


async def test_a_frozen_engine_does_not_prevent_the_end(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path, mongodb=False):
        engine = Watched(engine_pid(tmp_path, "nats-server"))
        os.kill(engine.pid, signal.SIGSTOP)
    await engine.ended()


async def test_a_second_start_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path, mongodb=False):
        with pytest.raises(EngineError, match=rf"{tmp_path} is in use by process {os.getpid()}: stop that one"):
            async with embedded_engines(tmp_path, mongodb=False, patience=timedelta(milliseconds=100)):
                pass


async def test_a_second_start_waits_for_the_first_to_end(tmp_path: Path) -> None:
    async def second() -> Endpoints:
        async with embedded_engines(tmp_path, mongodb=False) as endpoints:
            return endpoints

    async with embedded_engines(tmp_path, mongodb=False) as first:
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)  # so that it has found the directory held
        assert not waiting.done()
    assert await waiting == first


async def test_another_process_finds_the_engines_only_while_they_run(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no engines run on the data directory .*: start them by `datacosmos serve"):
        running_engines(tmp_path)
    async with embedded_engines(tmp_path, mongodb=False) as endpoints:
        assert running_engines(tmp_path) == endpoints
        assert endpoints.mongodb_url is None
    with pytest.raises(EngineError, match="no engines run"):
        running_engines(tmp_path)


async def test_engines_are_not_started_by_a_thread_that_may_end_before_them(tmp_path: Path) -> None:
    async def start() -> None:
        async with embedded_engines(tmp_path):
            pass

    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(asyncio.run, start())
