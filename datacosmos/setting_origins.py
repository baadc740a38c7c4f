"""Where each setting in force comes from, and how settings are shown: never a secret."""

import difflib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

from dotenv import dotenv_values
from pydantic import ByteSize, SecretStr

from datacosmos.setting_types import without_userinfo
from datacosmos.settings import PREFIX, Settings, read_config

MASK = "********"


def origins(config: Path | None, flags: Collection[str]) -> dict[str, str]:
    """Each setting's origin: the first of flag, environment, .env, the --config file and the default that names it."""
    environment, dotenv = _names(os.environ), _names(_dotenv())
    file = read_config(config) if config else {}

    def origin(name: str) -> str:
        if name in flags:
            return "flag"
        if name in environment:
            return "environment"
        if name in dotenv:
            return ".env"
        return str(config) if name in file else "default"

    return {name: origin(name) for name in Settings.model_fields}


def misspelt() -> Iterator[tuple[str, str | None]]:
    """The variables that look like ours and name no setting, each with the nearest one that there is."""
    for name in sorted((_names(os.environ) | _names(_dotenv())) - Settings.model_fields.keys()):
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        yield variable(name), variable(near[0]) if near else None


def table(settings: Settings, came_from: Mapping[str, str]) -> str:
    """A line each: what is in force, and where it comes from."""
    rows = [(variable(name), shown(value), came_from[name]) for name, value in settings]
    widths = [max(len(row[n]) for row in rows) for n in range(2)]
    return "\n".join(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}" for name, value, origin in rows)


def markdown() -> str:
    """The table of docs/operator.md: what there is, with its defaults."""
    lines = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = shown(field.default)
        lines.append(f"| `{variable(name)}` | {default and f'`{default}`'} | {field.description} |")
    return "\n".join(lines)


def variable(name: str) -> str:
    return PREFIX + name.upper()


def shown(value: object) -> str:
    match value:
        case None | SecretStr():
            return MASK if value else ""
        case timedelta():
            return f"{value.total_seconds():g}s"
        case ByteSize():
            return value.human_readable(separator="")
        case list() | tuple():
            return ",".join(map(str, cast("Sequence[object]", value)))
        case str() if "://" in value:
            return without_userinfo(value)
        case _:
            return str(value)


def _dotenv() -> Mapping[str, str | None]:
    return dotenv_values(".env")


def _names(variables: Mapping[str, str | None]) -> set[str]:
    """The settings that are given, in whatever case; an empty one is as good as none."""
    return {
        name.upper().removeprefix(PREFIX).lower()
        for name, value in variables.items()
        if value and name.upper().startswith(PREFIX)
    }
