"""The commands and options that the deployment's files use are those that the program has."""

import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from datacosmos.cli import cli
from tests.deployment import ROOT, compose, of_kind


def used() -> Iterator[list[str]]:
    for service in compose()["services"].values():
        if service["image"].startswith("datacosmos:"):
            yield service["command"]
    for deployment in of_kind("Deployment").values():
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            yield container["args"]
    for file in ("stack.sh", "deploy/kubernetes/README.md"):
        for words in re.findall(r"datacosmos ((?:token|simulate|serve|schema)\b[ \w-]*)", (ROOT / file).read_text()):
            yield words.split()


def test_the_backup_dumps_only_while_nothing_writes_and_with_a_password_that_is_there() -> None:
    backup = (ROOT / "docs" / "operator.md").read_text().partition("## Backup and restore\n")[2]
    [dump] = [block for block in re.findall(r"```sh[^\n]*\n(.*?)```", backup, re.DOTALL) if "mongodump" in block]
    stopped = re.findall(r"docker compose stop (.*)\n.*mongodump", dump, re.DOTALL)[0].splitlines()[0].split()
    writing = {name for name, service in compose()["services"].items() if _writes(service)}
    assert writing <= set(stopped)
    assert sorted(re.findall(r"docker compose start (.*)\n", dump)[0].split()) == sorted(stopped)
    for variable in re.findall(r"\$([A-Z_]+)", dump):
        assert variable in compose()["services"]["mongo"]["environment"]


def _writes(service: dict[str, Any]) -> bool:
    return "mongodb://datacosmos:" in service.get("environment", {}).get("DATACOSMOS_MONGODB_URL", "")


@pytest.mark.parametrize("words", list(used()), ids=" ".join)
def test_each_command_that_is_used_exists(words: list[str]) -> None:
    command: click.Command = cli
    while isinstance(command, click.Group) and (words or not command.invoke_without_command):
        assert words[0] in command.commands
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
