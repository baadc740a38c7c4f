"""The data directory: which process holds it, and the engines' addresses and secrets in its engines.json.

lock                    held for as long as an engine, or whoever started it, lives; names the latter's process id
engines.json            ports and secrets, kept from start to start
mongodb/  nats/         the data
mongodb.key  nats.conf  written anew at each start
mongod.log  nats-server.log, and with .1 behind it that of the start before
"""

import asyncio
import errno
import fcntl
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from time import monotonic

import msgspec

from datacosmos.errors import EngineError

# Below those that systems hand to outgoing connections, which could take a port while its engine is down.
PORTS = range(20_000, 32_000)


def new_secret() -> str:
    return secrets.token_hex(24)


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """Where an engine listens and with which password; `running` is whether the last start wanted this engine."""

    port: int = 0
    password: str = field(default_factory=new_secret, repr=False)
    running: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What engines.json holds; `key` is what members of MongoDB's replica set know each other by."""

    mongodb: EngineAccess = field(default_factory=EngineAccess)
    nats: EngineAccess = field(default_factory=EngineAccess)
    key: str = field(default_factory=new_secret, repr=False)


@contextmanager
def disk_errors(data_dir: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        remedy = "free some space" if error.errno == errno.ENOSPC else "make it writable"
        raise EngineError(
            f"the data directory {data_dir} can't be used: {error.strerror}; "
            f"{remedy}, or give another one by --data-dir or DATACOSMOS_DATA_DIR"
        ) from None


@asynccontextmanager
async def held(data_dir: Path, patience: timedelta) -> AsyncGenerator[int]:
    """The descriptor of the lock; the directory is free once each process that inherited it has closed it."""
    with disk_errors(data_dir):
        descriptor = _open_lock(data_dir)
    try:
        await _take(descriptor, data_dir, patience)
        with disk_errors(data_dir):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _open_lock(data_dir: Path) -> int:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)


async def _take(descriptor: int, data_dir: Path, patience: timedelta) -> None:
    deadline = monotonic() + patience.total_seconds()
    while not _locked(descriptor, fcntl.LOCK_EX):
        if monotonic() > deadline:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace") or "(unknown)"
            raise EngineError(
                f"the data directory {data_dir} is in use by process {holder}: "
                "stop that one first, or give another directory by --data-dir"
            )
        await asyncio.sleep(0.05)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(data_dir: Path) -> bool:
    try:
        descriptor = os.open(data_dir / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def read_record(data_dir: Path) -> Record:
    """What engines.json holds; new secrets where there is no such file."""
    path = data_dir / "engines.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return Record()
    except msgspec.DecodeError:
        raise EngineError(f"{path} is damaged: remove it; new passwords are made, and the data stays") from None


def renew_record(data_dir: Path, *, mongodb: bool, nats: bool) -> Record:
    """Engines.json with a free port for each engine that is wanted: the one it had, where that is not taken."""
    former = read_record(data_dir)
    record = replace(
        former,
        mongodb=replace(former.mongodb, running=mongodb, port=free_port(former.mongodb.port)),
        nats=replace(former.nats, running=nats, port=free_port(former.nats.port)),
    )
    write_private(data_dir / "engines.json", msgspec.json.format(msgspec.json.encode(record)))
    return record


def private(path: str, flags: int) -> int:
    """For open(): makes a file that nobody else can read."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, content: bytes) -> None:
    """A file that is either whole or as it was before, and that nobody else can read."""
    draft = path.with_name(f"{path.name}.new")
    with open(draft, "wb", opener=private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else another; 0 wants none in particular."""
    candidates = secrets.SystemRandom().sample(PORTS, 100)
    for port in [wanted, *candidates] if wanted else candidates:
        with socket.socket() as probe:
            # As the engines do, so that the port of a connection that is still winding down counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EngineError(f"no free port from {PORTS.start} to {PORTS.stop} on 127.0.0.1: stop what takes them")
