"""`make env`: the secrets of docker-compose.yml."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment import ROOT, parse_env, variables


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what `make env` needs."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    return tmp_path


def make_env(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["make", "env"], cwd=folder, capture_output=True, text=True, check=False)


def made(folder: Path) -> dict[str, str]:
    assert make_env(folder).returncode == 0
    return parse_env((folder / ".env").read_text())


def test_there_is_a_secret_for_each_that_compose_asks_for_and_no_other(copy: Path) -> None:
    assert made(copy).keys() == {name for name, operator, _ in variables() if operator == ":?"}


def test_each_secret_is_long_and_its_own_and_means_the_same_in_every_file(copy: Path) -> None:
    secrets = made(copy).values()
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret) == 64 and secret.isascii() and secret.isalpha() for secret in secrets)


def test_no_two_installations_share_a_secret(copy: Path) -> None:
    first = made(copy)
    (copy / ".env").unlink()
    assert not set(first.values()) & set(made(copy).values())


def test_only_its_owner_may_read_it(copy: Path) -> None:
    made(copy)
    assert (copy / ".env").stat().st_mode & 0o777 == 0o600


def test_no_secret_is_shown(copy: Path) -> None:
    run = make_env(copy)
    secrets = parse_env((copy / ".env").read_text()).values()
    assert not [secret for secret in secrets if secret in run.stdout + run.stderr]


def test_an_existing_one_is_left_as_it_is(copy: Path) -> None:
    before = made(copy)
    assert made(copy) == before


def test_an_existing_one_that_lacks_secrets_is_left_as_it_is_and_the_names_are_told(copy: Path) -> None:
    (copy / ".env").write_text("MONGODB_PASSWORD=mine\nNATS_PASSWORD=\n")
    run = make_env(copy)
    assert run.returncode != 0
    assert "MONGODB_ROOT_PASSWORD" in run.stderr
    assert "NATS_PASSWORD" in run.stderr
    assert (copy / ".env").read_text() == "MONGODB_PASSWORD=mine\nNATS_PASSWORD=\n"
