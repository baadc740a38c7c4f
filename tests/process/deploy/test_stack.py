"""stack.sh, with a stand-in for docker that notes what it is told to do."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deployment import ROOT

DOCKER = """#!/usr/bin/env bash
echo "$@" "profiles=${COMPOSE_PROFILES:-}" "data_server=${DATACOSMOS_DATA_SERVER_URL:-}" >>"$NOTES"
case "$*" in
    *" port nginx 8080") echo 127.0.0.1:8000 ;;
    *" --wait "*) exit "${UP_FAILS:-0}" ;;
    info) exit "${NO_ENGINE:-0}" ;;
    "version --format {{.Server.Version}}") echo "${ENGINE:-26.1.5+dfsg1}" ;;
    "compose version --short") echo "${COMPOSE:-v2.26.1-4}" ;;
esac
"""
SCRIPTS = [
    path.relative_to(ROOT) for path in [*ROOT.glob("*.sh"), *ROOT.glob("deploy/**/*.sh"), *ROOT.glob("tests/*.sh")]
]


@dataclass
class Stack:
    folder: Path
    search_path: str

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": self.search_path, "NOTES": str(self.folder / "notes")} | variables
        command = ["bash", self.folder / "stack.sh", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def told_docker(self) -> list[str]:
        return (self.folder / "notes").read_text().splitlines()


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    shutil.copy(ROOT / "stack.sh", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)
    return Stack(tmp_path, f"{programs}:{os.defpath}")


def test_up_makes_the_secrets_builds_starts_waits_and_says_where(stack: Stack) -> None:
    run = stack.run("up")
    assert run.returncode == 0, run.stderr
    assert (stack.folder / ".env").stat().st_mode & 0o777 == 0o600
    assert "http://127.0.0.1:8000/graphql" in run.stdout
    assert "datacosmos token --role admin" in run.stdout
    build, up = (next(i for i, line in enumerate(stack.told_docker) if word in line) for word in ("build", " up "))
    assert build < up
    assert "--wait" in stack.told_docker[up]
    assert "profiles= data_server=" in stack.told_docker[up]


def test_up_with_demo_starts_the_simulated_data_server_and_polls_it(stack: Stack) -> None:
    assert stack.run("up", "--demo").returncode == 0
    (up,) = (line for line in stack.told_docker if " up " in line)
    assert "profiles=demo data_server=http://data-server:28462" in up


def test_what_does_not_come_up_is_told(stack: Stack) -> None:
    run = stack.run("up", UP_FAILS="1")
    assert run.returncode == 1
    assert "docker compose logs" in run.stderr
    assert "DataCosmos is up" not in run.stdout


def test_down_keeps_the_data_unless_told_otherwise(stack: Stack) -> None:
    stack.run("build")
    assert stack.run("down").returncode == 0
    assert "down --remove-orphans" in stack.told_docker[-1]
    assert stack.run("down", "--volumes").returncode == 0
    assert "down --volumes" in stack.told_docker[-1]


@pytest.mark.parametrize("arguments", [(), ("start",), ("down", "--volume"), ("up", "--demo", "--demo")])
def test_a_word_that_is_none_changes_nothing(stack: Stack, arguments: tuple[str, ...]) -> None:
    run = stack.run(*arguments)
    assert run.returncode == 2
    assert "usage" in run.stderr
    assert not (stack.folder / "notes").exists()


def test_a_missing_docker_is_told(stack: Stack) -> None:
    (stack.folder / "programs/docker").unlink()
    for program in ("bash", "dirname"):
        found = shutil.which(program)
        assert found is not None
        (stack.folder / "programs" / program).symlink_to(found)
    stack.search_path = str(stack.folder / "programs")
    run = stack.run("up")
    assert run.returncode == 1
    assert "docker is not installed" in run.stderr
    assert not (stack.folder / ".env").exists()


def test_an_engine_that_does_not_answer_is_told(stack: Stack) -> None:
    run = stack.run("up", NO_ENGINE="1")
    assert run.returncode == 1
    assert "engine does not answer" in run.stderr


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ENGINE": "24.0.9"}, "engine is version 24.0.9, and this needs 25.0 or newer"),
        ({"ENGINE": "20.10.24+dfsg1"}, "engine is version 20.10.24+dfsg1"),
        ({"COMPOSE": "v2.20.1"}, "docker compose is version v2.20.1, and this needs 2.20.2 or newer"),
        ({"COMPOSE": "2.9.0"}, "docker compose is version 2.9.0"),
    ],
)
def test_a_docker_that_is_too_old_is_told_with_what_is_needed(
    stack: Stack, variables: dict[str, str], says: str
) -> None:
    run = stack.run("up", **variables)
    assert run.returncode == 1
    assert says in run.stderr
    assert not (stack.folder / ".env").exists()


@pytest.mark.parametrize("versions", [("25.0.0", "2.20.2"), ("28.3.2", "v5.0.2"), ("25.0.5-1", "2.40.3-desktop.1")])
def test_a_docker_that_is_new_enough_is_used(stack: Stack, versions: tuple[str, str]) -> None:
    assert stack.run("up", ENGINE=versions[0], COMPOSE=versions[1]).returncode == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_shellcheck_finds_nothing(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    run = subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert os.access(ROOT / script, os.X_OK)
