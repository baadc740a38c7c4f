"""The commands. The parts are imported by those that start them: `token` and `--help` need none, and are quick."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import click
from pydantic import ByteSize

from datacosmos import __version__
from datacosmos.errors import DatacosmosError, SettingsError
from datacosmos.observability import configure_logging
from datacosmos.settings import PREFIX, Settings, load_settings, parse_duration
from datacosmos.tokens import Role, issue_token, load_secret

if TYPE_CHECKING:
    from datacosmos.services import Addresses

P = ParamSpec("P")
R = TypeVar("R")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="datacosmos")
def cli() -> None:
    """DataCosmos takes in readings, judges them, keeps every one, and answers GraphQL queries about them.

    Every setting is an environment variable DATACOSMOS_<NAME>, a line of .env, or a line of the TOML file given by
    --config; `datacosmos settings` lists them. Start with `datacosmos serve --demo`.
    """


def with_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Adds --config and --data-dir, and hands the command the settings in force; its flags may be settings too."""

    @click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings.")
    @click.option("--data-dir", type=click.Path(path_type=Path), help="Where the embedded engines keep everything.")
    @wraps(command)
    def run(*args: P.args, **given: P.kwargs) -> R:
        flags: dict[str, Any] = dict(given)
        names = [name for name in flags if name in Settings.model_fields]
        settings = load_settings(flags.pop("config"), **{name: flags.pop(name) for name in names})
        configure_logging(settings.log_level, settings.log_format)
        return command(settings, *args, **flags)

    return run


host = click.option("--host", help="The address to listen on.")
port = click.option("--port", type=int, help="The port to listen on; 0 takes a free one.")


@cli.command()
@host
@port
@click.option("--demo", is_flag=True, help="Simulate a data server where none is configured.")
@with_settings
def serve(settings: Settings, *, demo: bool) -> None:
    """Run everything: API, poller, writer, and the engines that are not configured."""
    from datacosmos import services

    _run(services.serve(settings, demo=demo, announce=lambda addresses: _announce(settings, addresses)))


@cli.command()
@host
@port
@with_settings
def api(settings: Settings) -> None:
    """Run the API alone, on given engines or those of a running serve."""
    from datacosmos import services

    _run(services.api(settings, announce=lambda addresses: _announce(settings, addresses)))


@cli.command()
@with_settings
def ingest(settings: Settings) -> None:
    """Run the poller of the data server alone."""
    from datacosmos import services

    _run(services.ingest(settings))


@cli.command()
@with_settings
def write(settings: Settings) -> None:
    """Run a writer alone; any number may run at once."""
    from datacosmos import services

    _run(services.write(settings))


@cli.group()
def simulate() -> None:
    """Run a stand-in for a source."""


@simulate.command("data-server")
@click.option("--host", "address", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", "number", type=int, default=28462, help="The port to listen on.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=5, help="Points per second.")
@click.option("--seed", type=int, help="The same seed gives the same points.")
@with_settings
def simulate_data_server(settings: Settings, *, address: str, number: int, rate: float, seed: int | None) -> None:
    """Serve points like a data server: some old, some tagged, some malformed; 404 in between."""

    from datacosmos import services

    def announce(url: str) -> None:
        click.echo(f"Serving {rate:g} points a second at {url}")

    _run(services.simulate_data_server(settings, host=address, port=number, rate=rate, seed=seed, announce=announce))


@cli.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What the bearer may do.")
@click.option("--subject", default="cli", help="Who the bearer is.")
@click.option("--expires", default="12h", help="How long it holds: seconds, or like 30m, 12h, 7d.")
@with_settings
def token(settings: Settings, *, role: str, subject: str, expires: str) -> None:
    """Print a signed token, and nothing else."""
    try:
        lifetime = parse_duration(expires)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from None
    click.echo(
        issue_token(load_secret(settings), role=Role(role), subject=subject, lifetime=lifetime, now=datetime.now(UTC))
    )


@cli.command()
def schema() -> None:
    """Print the GraphQL schema as SDL."""
    from datacosmos.api.graphql.schema import print_schema

    click.echo(print_schema(), nl=False)


@cli.command("settings")
def list_settings() -> None:
    """List every setting with its default, as a Markdown table."""
    click.echo("| setting | default | what it is |\n|---|---|---|")
    for name, field in Settings.model_fields.items():
        click.echo(f"| `{PREFIX}{name.upper()}` | {_shown(field.default)} | {field.description} |")


def _shown(default: object) -> str:
    match default:
        case None | []:
            return ""
        case timedelta():
            return f"`{default.total_seconds():g}s`"
        case ByteSize():
            return f"`{default.human_readable(separator='')}`"
        case list():
            return "`" + ",".join(cast("list[str]", default)) + "`"
        case _:
            return f"`{default}`"


def _announce(settings: Settings, addresses: "Addresses") -> None:
    click.echo("\n".join([
        "",
        "DataCosmos is ready.",
        f"  playground   {addresses.api}/graphql",
        f"  docs         {addresses.api}/docs",
        f"  health       {addresses.api}/health",
        f"  data server  {addresses.data_server}" + (" (simulated, for the demo)" if addresses.simulated else ""),
        f"  admin token  {sys.argv[0]} token --role admin --data-dir {settings.data_dir}",
        "",
    ]))  # fmt: skip


def _run(program: Coroutine[Any, Any, None]) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(program)


def main() -> None:
    """Errors of ours are one line on standard error, not a traceback."""
    try:
        cli(prog_name="datacosmos")
    except DatacosmosError as error:
        click.echo(f"datacosmos: {error}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
