"""The commands and options that the deployment's files use are those that the program has."""

import re
from collections.abc import Iterator

import click
import pytest

from datacosmos.cli import cli
from tests.deploy.files import ROOT, compose, of_kind


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


@pytest.mark.parametrize("words", list(used()), ids=" ".join)
def test_each_command_that_is_used_exists(words: list[str]) -> None:
    command: click.Command = cli
    while isinstance(command, click.Group) and (words or not command.invoke_without_command):
        assert words[0] in command.commands
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
