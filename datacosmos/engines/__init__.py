"""The embedded engines: a real mongod and a real nats-server, as children that end when this process does.

While they run they are watched: one that dies is started again at the same address.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from datacosmos.engines.data_dir import Record, disk_errors, held, is_held, read_record, renew_record
from datacosmos.engines.mongod import mongod, mongodb_url
from datacosmos.engines.nats_server import nats_server, nats_url
from datacosmos.engines.processes import Engine
from datacosmos.errors import EngineError

OPLOG = 512 << 20  # bytes, where nobody says how many
__all__ = ["Endpoints", "embedded_engines", "running_engines"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The engines' addresses, with user and password; None where none is embedded."""

    mongodb_url: str | None = field(default=None, repr=False)
    nats_url: str | None = field(default=None, repr=False)


@asynccontextmanager
async def embedded_engines(
    data_dir: Path,
    *,
    mongodb: bool = True,
    nats: bool = True,
    oplog_max_bytes: int = OPLOG,
    patience: timedelta = timedelta(seconds=5),
) -> AsyncGenerator[Endpoints]:
    """Runs the engines that are wanted on a data directory, which is made when there is none.

    Raises EngineError when one can't be started, or another process holds the directory for longer than `patience`.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start the engines in the main thread: they end together with the thread that started them")
    async with held(data_dir, patience) as lock:
        with disk_errors(data_dir):
            record = renew_record(data_dir, mongodb=mongodb, nats=nats)
            engines = _engines(data_dir, record, lock, oplog_max_bytes)
        try:
            for engine in engines:
                await engine.start()
            async with _kept_running(engines):
                yield _endpoints(record)
        finally:
            await asyncio.gather(*(engine.stop() for engine in engines))


def running_engines(data_dir: Path) -> Endpoints:
    """The engines that another process runs on a data directory. Raises EngineError when none does."""
    with disk_errors(data_dir):
        endpoints = _endpoints(read_record(data_dir)) if is_held(data_dir) else Endpoints()
    if endpoints == Endpoints():
        raise EngineError(
            f"no engines run on the data directory {data_dir}: start them by `datacosmos serve --data-dir {data_dir}`, "
            "or give the addresses of others by DATACOSMOS_MONGODB_URL and DATACOSMOS_NATS_URL"
        )
    return endpoints


def _engines(data_dir: Path, record: Record, lock: int, oplog_max_bytes: int) -> list[Engine]:
    data_dir = data_dir.absolute()
    engines: list[Engine] = []
    if record.nats.running:
        engines.append(nats_server(data_dir, record, lock))
    if record.mongodb.running:
        engines.append(mongod(data_dir, record, lock, oplog_max_bytes))
    for engine in engines:
        with suppress(FileNotFoundError):
            engine.log.replace(f"{engine.log}.1")
    return engines


def _endpoints(record: Record) -> Endpoints:
    return Endpoints(
        mongodb_url=mongodb_url(record) if record.mongodb.running else None,
        nats_url=nats_url(record) if record.nats.running else None,
    )


@asynccontextmanager
async def _kept_running(engines: list[Engine]) -> AsyncGenerator[None]:
    watchers = [asyncio.create_task(engine.keep_running()) for engine in engines]
    try:
        yield
    finally:
        for watcher in watchers:
            watcher.cancel()
        if watchers:
            await asyncio.wait(watchers)
