"""What the deployment's files say, read as those read them who will start it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from datacosmos.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy/kubernetes"
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[?-])([^}]*))?\}")
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
SECRETS = {
    PREFIX + name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
}


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def variables() -> Iterator[tuple[str, str, str]]:
    """Each ${NAME}, ${NAME:?message} and ${NAME:-default} of docker-compose.yml: name, operator, rest."""
    yield from VARIABLE.findall((ROOT / "docker-compose.yml").read_text())


NEEDS = {
    "api": {"mongodb_url", "nats_url", "jwt_secret"},
    "calculation": {"mongodb_url", "jwt_secret"},
    "ingest": {"nats_url"},
    "write": {"mongodb_url", "nats_url"},
}
"""The secrets that each program is given: those it needs, and no others."""


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """As compose does it: the value, or the default where there is none."""
    return VARIABLE.sub(lambda found: values.get(found[1], found[3] or ""), text).replace("$$", "$")


def environment(service: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
    """What the processes of a service of docker-compose.yml see."""
    given = service.get("environment", {}).items()
    return {name: interpolated(value, values) for name, value in given if value is not None}


def parse_env(text: str) -> dict[str, str]:
    """The lines NAME=value of an env file."""
    lines = [line.partition("=") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in lines}


def image_environment() -> dict[str, str]:
    """What the Dockerfile's last stage sets."""
    return dict(re.findall(r"^(?:ENV|   ) (\w+)=(\S+)", last_stage(), re.MULTILINE))


def last_stage() -> str:
    return (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]


def manifests() -> list[dict[str, Any]]:
    """Every Kubernetes object that kustomize takes up, in the order of the files."""
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [document for name in listed for document in yaml.safe_load_all((KUBERNETES / name).read_text())]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in manifests() if document["kind"] == kind}


def secret(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    assert isinstance(value, SecretStr)
    return value.get_secret_value()
