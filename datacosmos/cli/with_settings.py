"""The settings in force, for the commands that need them; what is wrong with them ends a command."""

import sys
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import click
import structlog

from datacosmos import setting_origins
from datacosmos.errors import DatacosmosError, SettingsError
from datacosmos.observability import configure_logging
from datacosmos.settings import Settings, load_settings, log_format_of

log = structlog.stdlib.get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def with_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Adds --config and --data-dir, and hands the command the settings in force; its flags may be settings too."""

    @click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings.")
    @click.option("--data-dir", type=click.Path(path_type=Path), help="Where the embedded engines keep everything.")
    @wraps(command)
    def run(*args: P.args, **given: P.kwargs) -> R:
        flags: dict[str, Any] = dict(given)
        names = [name for name in flags if name in Settings.model_fields]
        settings = load(flags.pop("config"), **{name: flags.pop(name) for name in names})
        if flags.get("descriptor") is None:  # or else whoever started us has said it
            warn_of_misspelt()
        try:
            return command(settings, *args, **flags)
        except DatacosmosError as error:
            end(error, settings.log_format)

    return run


def load(config: Path | None, **flags: Any) -> Settings:
    """The settings in force, by which is logged from here on."""
    try:
        settings = load_settings(config, **flags)
    except SettingsError as error:
        if (log_format := log_format_of(config)) == "json":
            configure_logging("info", "json")
        end(error, log_format)
    configure_logging(settings.log_level, settings.log_format)
    return settings


@cache
def warn_of_misspelt() -> None:
    """Once, also where a command of a group is run."""
    for name, near in setting_origins.misspelt():
        hint = f"did you mean {near}?" if near else "`datacosmos settings` lists them"
        log.warning("there is no such setting", variable=name, hint=hint)


def end(error: DatacosmosError, log_format: str | None) -> NoReturn:
    """Where the log is JSON, the error is a line of it."""
    if log_format != "json":
        raise error
    log.critical("ended", error=str(error))
    sys.exit(exit_code(error))


def exit_code(error: DatacosmosError) -> int:
    return 2 if isinstance(error, SettingsError) else 1
