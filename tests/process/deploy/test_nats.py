"""deploy/nats/nats.conf, on the real server."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import ROOT

PASSWORD = "wKxQ"


@dataclass
class Server:
    address: str
    monitor: str

    def told(self, page: str) -> dict[str, Any]:
        return httpx.get(f"{self.monitor}/{page}").json()


def addresses(folder: Path) -> Server:
    """Where the server says that it listens, once it does."""
    deadline = time.monotonic() + 60
    while not (files := list(folder.glob("*.ports"))) or not files[0].stat().st_size:
        assert time.monotonic() < deadline, "nats-server did not start"
        time.sleep(0.01)
    ports = json.loads(files[0].read_text())
    return Server(ports["nats"][0].removeprefix("nats://"), ports["monitoring"][0])


def start(folder: Path, **environment: str) -> "subprocess.Popen[str]":
    """The configuration as it stands, but for where it stores and listens."""
    config = folder / "nats.conf"
    config.write_text((ROOT / "deploy/nats/nats.conf").read_text().replace('"/data"', f'"{folder}/data"'))
    program = Path(sys.executable).with_name("nats-server")
    command = [program, "-c", config, "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", folder]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    with start(tmp_path, NATS_PASSWORD=PASSWORD) as process:
        try:
            yield addresses(tmp_path)
        finally:
            process.terminate()
            process.communicate(timeout=10)


def greet(server: Server, **credentials: str) -> tuple[dict[str, Any], str]:
    """What the server says of itself, and what it answers to a client that greets it."""
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection, connection.makefile("r") as said:
        told = json.loads(said.readline().removeprefix("INFO "))
        greeting = json.dumps({"verbose": False, "pedantic": False} | credentials)
        connection.sendall(f"CONNECT {greeting}\r\nPING\r\n".encode())
        return told, said.readline().strip()


def test_the_user_with_the_password_gets_in(server: Server) -> None:
    assert greet(server, user="datacosmos", **{"pass": PASSWORD})[1] == "PONG"


@pytest.mark.parametrize(
    "credentials",
    [{}, {"user": "datacosmos"}, {"user": "datacosmos", "pass": "wrong"}, {"user": "root", "pass": PASSWORD}],
)
def test_nobody_else_gets_in(server: Server, credentials: dict[str, str]) -> None:
    assert greet(server, **credentials)[1] == "-ERR 'Authorization Violation'"


def test_a_message_may_have_16_mib(server: Server) -> None:
    assert greet(server)[0]["max_payload"] == 16 << 20


def test_what_is_confirmed_is_on_the_disk(server: Server) -> None:
    config = server.told("varz")["jetstream"]["config"]
    assert config["sync_always"] is True
    assert config["max_storage"] >= 2 << 30


def test_the_health_check_of_docker_compose_finds_it_healthy(server: Server) -> None:
    assert server.told("healthz") == {"status": "ok"}


def test_it_does_not_start_without_a_password(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        _, said = process.communicate(timeout=10)
    assert process.returncode != 0
    assert "NATS_PASSWORD" in said
