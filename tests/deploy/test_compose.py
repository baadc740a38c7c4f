"""docker-compose.yml: valid, without a password of its own, and agreeing with the settings and the engines tested."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo.uri_parser import parse_uri

from datacosmos.settings import Settings
from tests.deploy.balancer import NGINX
from tests.deploy.files import NEEDS, ROOT, SETTINGS, compose, environment, image_environment, secret, variables

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
        assert url == f"http://127.0.0.1:{getattr(settings, port)}/health"


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
        if name not in {"mongo-init", "data-server"}:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["interval"], name


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
