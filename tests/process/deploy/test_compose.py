"""docker-compose.yml: valid, without a password of its own, and agreeing with the settings and the engines tested."""

import re
import socket
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from pymongo.uri_parser import parse_uri

from datacosmos.settings import Settings
from tests.deployment import NEEDS, ROOT, SETTINGS, compose, environment, image_environment, secret, variables
from tests.process.deploy.balancer import NGINX

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("datacosmos:")}
FILLED = {name: f"a-{name}-of-32-letters-or-more-than-that" for name, operator, _ in variables() if operator == ":?"}


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable, value in (image_environment() | environment(OURS[name], FILLED)).items():
        monkeypatch.setenv(variable, value)
    return Settings(_env_file=None)  # pyright: ignore[reportCallIssue]


def test_it_is_valid_by_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    run = subprocess.run([*command, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_every_secret_has_to_be_given() -> None:
    for name, operator, _ in variables():
        if re.search("PASSWORD|SECRET|KEY|TOKEN", name):
            assert operator == ":?", f"{name} has a default"


def test_no_password_is_written_down() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY|TOKEN", variable):
                assert value.startswith("${"), f"{name}: {variable}"
            assert not re.search(r"://[^/@]*:(?!\$\{)[^/@]+@", value or ""), f"{name}: {variable}"


def test_every_setting_that_is_given_exists() -> None:
    given = {variable for service in OURS.values() for variable in service.get("environment", {})}
    assert {variable for variable in given if variable.startswith("DATACOSMOS_")} <= SETTINGS


@pytest.mark.parametrize("name", OURS)
def test_each_service_starts_with_settings_that_hold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(name, monkeypatch)
    assert settings.host == "0.0.0.0"
    given = {secret for secret in ("mongodb_url", "nats_url", "jwt_secret") if getattr(settings, secret)}
    assert given == NEEDS.get(name, set())
    if settings.mongodb_url:
        mongodb = parse_uri(secret(settings, "mongodb_url"))
        assert mongodb["nodelist"] == [("mongo", 27017)]
        user = "reader" if name == "calculation" else "datacosmos"
        password = FILLED["MONGODB_READER_PASSWORD" if name == "calculation" else "MONGODB_PASSWORD"]
        assert (mongodb["username"], mongodb["password"]) == (user, password)
    if settings.nats_url:
        assert secret(settings, "nats_url") == f"nats://datacosmos:{FILLED['NATS_PASSWORD']}@nats:4222"
    if settings.jwt_secret:
        assert secret(settings, "jwt_secret") == FILLED["DATACOSMOS_JWT_SECRET"]


def test_the_health_check_of_each_service_asks_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = {"api": "port", "calculation": "calculation_port", "ingest": "health_port", "write": "health_port"}
    for name, port in ports.items():
        settings = settings_of(name, monkeypatch)
        url = environment(OURS[name], FILLED)["HEALTH_URL"]
        path = "/health" if port == "health_port" else "/health/ready"
        assert url == f"http://127.0.0.1:{getattr(settings, port)}{path}"


def test_a_stop_waits_longer_than_open_requests_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nginx", "api", "calculation", "ingest", "write"):
        seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert seconds >= settings_of("api", monkeypatch).stop_grace.total_seconds() + 10, name


def test_the_api_finds_the_calculation_service(monkeypatch: pytest.MonkeyPatch) -> None:
    port = settings_of("calculation", monkeypatch).calculation_port
    assert settings_of("api", monkeypatch).calculation_url == f"http://calculation:{port}"


def test_only_the_load_balancer_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert SERVICES["nginx"]["ports"][0].startswith("${HTTP_ADDRESS:-127.0.0.1}:")
    for engine in ("mongo", "nats"):
        assert SERVICES[engine]["networks"] == ["inside"]
    assert compose()["networks"]["inside"] == {"internal": True}


def test_there_are_two_of_what_is_balanced_and_one_poller() -> None:
    replicas = {name: service.get("deploy", {}).get("replicas", 1) for name, service in OURS.items()}
    assert replicas["api"] == "${API_REPLICAS:-2}"
    assert replicas["calculation"] == "${CALCULATION_REPLICAS:-2}"
    assert replicas["ingest"] == 1


def test_the_simulated_data_server_starts_only_when_asked_for() -> None:
    assert SERVICES["data-server"]["profiles"] == ["demo"]
    assert all("profiles" not in service for name, service in SERVICES.items() if name != "data-server")


def test_every_service_that_runs_on_restarts_and_has_its_health_watched() -> None:
    for name, service in SERVICES.items():
        if name not in {"mongo-init", "nats-init"}:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["interval"], name
            assert service["healthcheck"].get("test") or service["image"] == SERVICES["api"]["image"], name


def test_the_simulated_data_server_is_found_healthy_without_a_word() -> None:
    program, *arguments = SERVICES["data-server"]["healthcheck"]["test"][1:]
    port = SERVICES["data-server"]["command"][-1]
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = [argument.replace(f"/{port}", f"/{server.getsockname()[1]}") for argument in arguments]
        assert there != arguments
        assert subprocess.run([program, *there], check=False).returncode == 0
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1) == b""
    assert subprocess.run([program, *there], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_has_no_right_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name == "nats-init":
        assert (service["cap_add"], service["network_mode"]) == (["CHOWN", "DAC_READ_SEARCH"], "none")
    else:
        assert "cap_add" not in service
        assert service in OURS.values() or service["user"].partition(":")[0] not in {"root", "0"}


def test_no_container_asks_for_more_open_files_than_the_daemon_may_allow() -> None:
    assert [name for name, service in SERVICES.items() if "ulimits" in service] == []
    run = subprocess.run(
        ["bash", "-c", f"ulimit -n 500; ulimit -Sn 100; {raising_open_files()}; ulimit -Sn"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "500\n"


def raising_open_files() -> str:
    """What start.sh does of the kind."""
    [lines] = re.findall(r"^most=(?:.|\n)*?^ulimit .*$", (ROOT / "deploy/mongo/start.sh").read_text(), re.MULTILINE)
    return lines.replace("\n", "; ")


def test_what_makes_the_first_user_of_mongodb_can_be_cut_short_and_run_again() -> None:
    """The image's own first start can't: it takes a volume with files in it for one whose users are made."""
    assert not [name for name in SERVICES["mongo"]["environment"] if name.startswith("MONGO_INITDB")]
    assert SERVICES["mongo-init"]["network_mode"] == "service:mongo"


def test_a_data_server_on_the_host_has_a_name_for_the_poller() -> None:
    assert SERVICES["ingest"]["extra_hosts"] == ["host.docker.internal:host-gateway"]
    assert SERVICES["ingest"]["environment"]["DATACOSMOS_DATA_SERVER_URL"].endswith(
        "-http://host.docker.internal:28462}"
    )


def test_every_file_that_is_mounted_exists() -> None:
    mounts = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [mount for mount in mounts if mount.startswith("./")]
    assert len(files) == 4
    assert all((ROOT / file).is_file() for file in files)
    assert {mount for mount in mounts if mount not in files} == set(compose()["volumes"])


@pytest.mark.parametrize(
    ("service", "program"),
    [("nginx", NGINX), ("nats", Path(sys.executable).with_name("nats-server"))],
)
def test_the_engine_that_runs_is_the_version_that_the_tests_run_on(service: str, program: Path) -> None:
    run = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    version = re.search(r"\d+\.\d+\.\d+", run.stdout + run.stderr)
    assert version is not None
    assert SERVICES[service]["image"] == f"{service}:{version[0]}-alpine"


def test_the_api_may_be_asked_by_its_own_name_and_by_those_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of("api", monkeypatch).allowed_hosts == ["api"]
    monkeypatch.setitem(FILLED, "DATACOSMOS_ALLOWED_HOSTS", "data.example.org")
    assert settings_of("api", monkeypatch).allowed_hosts == ["api", "data.example.org"]


@pytest.mark.parametrize("name", ["api", "calculation"])
def test_the_connections_of_those_in_front_are_not_counted_as_one_clients(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = settings_of(name, monkeypatch).proxies
    assert any(ip_address("172.18.0.5") in ip_network(network) for network in networks)
