"""The commands. The parts are imported by those that start them: `token` and `--help` need none, and are quick."""

import asyncio
import csv
import math
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Concatenate, ParamSpec, TypeVar, cast

import click
from click.core import ParameterSource
from pydantic import ByteSize

from datacosmos import __version__
from datacosmos.errors import DatacosmosError, SettingsError
from datacosmos.observability import configure_logging
from datacosmos.setting_types import parse_duration, without_userinfo
from datacosmos.settings import PREFIX, Settings, load_settings
from datacosmos.tokens import GIVEN_OUT, Role, issue_token, load_secret

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
workers = click.option("--workers", "api_workers", type=int, help="Processes of the API that share its port.")
listener = click.option(
    "--listener", "descriptor", type=int, hidden=True, help="The descriptor of the socket that a parent of ours opened."
)


@cli.command()
@host
@port
@workers
@click.option("--demo", is_flag=True, help="Simulate a data server where none is configured.")
@with_settings
def serve(settings: Settings, *, demo: bool) -> None:
    """Run everything: API, poller, writer, and the engines that are not configured."""
    from datacosmos import services

    _run(services.serve(settings, demo=demo, announce=lambda addresses: _announce(settings, addresses)))


@cli.command()
@host
@port
@workers
@listener
@with_settings
def api(settings: Settings, *, descriptor: int | None) -> None:
    """Run the API alone, on given engines or those of a running serve."""
    from datacosmos import services

    def announce(addresses: "Addresses") -> None:
        if descriptor is None:
            _announce(settings, addresses)

    _run(services.api(settings, descriptor=descriptor, announce=announce))


@cli.group(invoke_without_command=True)
@with_settings
@click.pass_context
def ingest(context: click.Context, settings: Settings) -> None:
    """Run the poller of the data server alone; or, with a command, take in readings of another source."""
    if context.invoked_subcommand is None:
        from datacosmos import services

        _run(services.ingest(settings))
        return
    for name, flag in (("config", "--config"), ("data_dir", "--data-dir")):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"give {flag} after the command: datacosmos ingest {context.invoked_subcommand} {flag} …"
            )


@ingest.command("sensors")
@click.argument("file", type=click.File("rb"), default="-")
@with_settings
def ingest_sensors(settings: Settings, *, file: BinaryIO) -> None:
    """Put sensors' records on the queue, a JSON object a line, from a file or standard input.

    A file may be sent again: what was stored before becomes a duplicate.
    """
    from datacosmos import services

    def show(text: str) -> None:
        click.echo(text, err=True)

    if not _run(services.ingest_sensors(settings, file, show=show)):
        sys.exit(1)


@cli.command()
@with_settings
def write(settings: Settings) -> None:
    """Run a writer alone; any number may run at once."""
    from datacosmos import services

    _run(services.write(settings))


@cli.command()
@host
@click.option("--port", "calculation_port", type=int, help="The port to listen on; 0 takes a free one.")
@click.option("--workers", "calculation_workers", type=int, help="Processes that share the port and the load.")
@listener
@with_settings
def calculation(settings: Settings, *, descriptor: int | None) -> None:
    """Run the Calculation service, on a given MongoDB or that of a running serve."""
    from datacosmos import services

    def announce(url: str) -> None:
        if descriptor is None:
            click.echo(f"The Calculation service is ready.\n  docs    {url}/docs\n  health  {url}/health\n")

    _run(services.calculation(settings, descriptor=descriptor, announce=announce))


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

    if not math.isfinite(rate):
        raise click.BadParameter("should be a finite number", param_hint="--rate")

    def announce(url: str) -> None:
        click.echo(f"Serving {rate:g} points a second at {url}")

    _run(services.simulate_data_server(settings, host=address, port=number, rate=rate, seed=seed, announce=announce))


@simulate.command("sensors")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records per second; unset: all at once.")
@click.option("--count", type=click.IntRange(min=0), help="How many; unset: without end.")
@click.option("--seed", type=int, help="The same seed gives the same records.")
@click.option("--faulty", type=click.FloatRange(0, 1), default=0.05, help="The share of faulty ones.")
def simulate_sensors(*, rate: float | None, count: int | None, seed: int | None, faulty: float) -> None:
    """Print records of sensors, a line each, for `ingest sensors`."""
    from datacosmos.simulators.sensors import EPOCH, records

    if rate is not None and not math.isfinite(rate):
        raise click.BadParameter("should be a finite number", param_hint="--rate")
    pause = 1 / rate if rate else 0
    start = EPOCH if seed is not None else datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    for record in islice(records(start=start, seed=seed, faulty=faulty), count):
        try:
            print(record, flush=bool(pause))  # noqa: T201  thousands a second, which click.echo can't
        except BrokenPipeError:
            sys.stderr.close()  # whoever read them has gone
            return
        if pause:
            time.sleep(pause)


@simulate.command("locations")
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="How many.")
@click.option("--seed", type=int, help="The same seed gives the same locations.")
def simulate_locations(*, count: int, seed: int | None) -> None:
    """Print locations of phones as CSV, for `replay locations`: half of them duplicates, some malformed."""
    from datacosmos.simulators.locations import FIELDS, generate

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(row.values() for row in generate(count, seed))


@cli.group()
def replay() -> None:
    """Send a file to the service."""


@replay.command("locations")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", default="http://127.0.0.1:8000", help="The service's address.")
@click.option("--token", "bearer", help="A token, where the service wants one: its subject must be the user_id.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=1,
    help="Records under way at once; those of one user stay in the order of the file all the same.",
)
@with_settings
def replay_locations(_settings: Settings, *, file: Path, url: str, bearer: str | None, concurrency: int) -> None:
    """Send a CSV of locations in the order of the file, and tell what became of them.

    Its first line names the columns: timestamp, lat, long, accuracy, speed, user_id. It may be sent again at any time:
    what was stored before is a duplicate.
    """
    from datacosmos.simulators.replay import read_records, replay

    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must start with http:// or https://", param_hint="--url")
    length = sum(1 for _ in read_records(file))
    with click.progressbar(length=length, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        sending = replay(read_records(file), url, token=bearer, concurrency=concurrency, sent=lambda: bar.update(1))
        tally = _run(sending)
    click.echo(tally)
    sys.exit(0 if tally.delivered else 1)


@cli.command()
@click.option(
    "--role", type=click.Choice([role.value for role in GIVEN_OUT]), required=True, help="What the bearer may do."
)
@click.option("--subject", default="cli", help="Who the bearer is.")
@click.option("--expires", default="12h", help="How long it holds: seconds, or like 30m, 12h, 7d.")
@with_settings
def token(settings: Settings, *, role: str, subject: str, expires: str) -> None:
    """Print a signed token, and nothing else."""
    try:
        lifetime = parse_duration(expires)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from None
    if not lifetime:
        raise click.BadParameter("should be longer than nothing", param_hint="--expires")
    if not subject:
        raise click.BadParameter("should be a name", param_hint="--subject")
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
    simulated = " (simulated, for the demo)" if addresses.simulated else ""
    shown = without_userinfo(addresses.data_server or "") + simulated
    where = "" if "jwt_secret" in settings.model_fields_set else f" --data-dir {settings.data_dir.absolute()}"
    program = f"{sys.executable} -m datacosmos" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
    click.echo("\n".join([
        "",
        "DataCosmos is ready.",
        f"  playground   {addresses.api}/graphql",
        f"  docs         {addresses.api}/docs",
        f"  health       {addresses.api}/health",
        f"  calculation  {addresses.calculation}/docs",
        *([f"  data server  {shown}"] if addresses.data_server else []),
        f"  admin token  {program} token --role admin{where}",
        "",
    ]))  # fmt: skip


def _run(program: Coroutine[Any, Any, R]) -> R:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(program)


def main() -> None:
    """Errors of ours are one line on standard error, not a traceback."""
    try:
        cli(prog_name="datacosmos")
    except DatacosmosError as error:
        click.echo(f"datacosmos: {error}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
