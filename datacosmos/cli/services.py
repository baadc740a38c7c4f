"""The commands that run until they are stopped."""

import sys
from typing import TYPE_CHECKING

import click

from datacosmos.cli.running import announce_ready, aside, host, listener, port, run, workers
from datacosmos.cli.with_settings import with_settings
from datacosmos.settings import Settings

if TYPE_CHECKING:
    from datacosmos.programs.services import Addresses


@click.command()
@host
@port
@workers
@click.option("--demo", is_flag=True, help="Simulate a data server where none is configured.")
@with_settings
def serve(settings: Settings, *, demo: bool) -> None:
    """Run everything: API, poller, writer, and the engines that are not configured."""
    from datacosmos.programs import services

    run(services.serve(settings, demo=demo, announce=lambda addresses: _announce(settings, addresses)))


@click.command()
@host
@port
@workers
@listener
@with_settings
def api(settings: Settings, *, descriptor: int | None) -> None:
    """Run the API alone, on given engines or those of a running serve."""
    from datacosmos.programs import services

    def announce(addresses: "Addresses") -> None:
        if descriptor is None:
            _announce(settings, addresses)

    run(services.api(settings, descriptor=descriptor, announce=announce))


@click.command()
@aside
@with_settings
def write(settings: Settings, *, aside: bool) -> None:
    """Run a writer alone; any number may run at once."""
    from datacosmos.programs import writing

    run(writing.write(settings, aside=aside))


@click.command()
@click.option("--check", is_flag=True, help="Compare each minute and hour with its points; exit 1 where one differs.")
@click.option("--mend", is_flag=True, help="Compare them, and build anew each that differs.")
@with_settings
def summarise(settings: Settings, *, check: bool, mend: bool) -> None:
    """Bring the summaries that buckets and samples are made from up to the points."""
    from datacosmos.programs import writing

    differing = run(writing.summarise(settings, check=check, mend=mend, show=click.echo))
    if differing is None:
        click.echo("stopped before all was looked at", err=True)
        sys.exit(1)
    if mend:
        click.echo(
            f"{differing} minutes and hours differed from their points, and count as these from now on", err=True
        )
    elif check:
        remedy = "; build them anew by summarise --mend" if differing else ""
        click.echo(f"{differing} minutes and hours differ from their points{remedy}", err=True)
    sys.exit(1 if differing and not mend else 0)


@click.command()
@host
@click.option("--port", "calculation_port", type=int, help="The port to listen on; 0 takes a free one.")
@click.option("--workers", "calculation_workers", type=int, help="Processes that share the port and the load.")
@listener
@with_settings
def calculation(settings: Settings, *, descriptor: int | None) -> None:
    """Run the Calculation service, on a given MongoDB or that of a running serve."""
    from datacosmos.programs import calculation as program

    def announce(url: str) -> None:
        if descriptor is None:
            banner = f"The Calculation service is ready.\n  docs    {url}/docs\n  health  {url}/health\n"
            announce_ready(settings, banner, url=url)

    run(program.calculation(settings, descriptor=descriptor, announce=announce))


def _announce(settings: Settings, addresses: "Addresses") -> None:
    simulated = " (simulated, for the demo)" if addresses.simulated else ""
    where = "" if "jwt_secret" in settings.model_fields_set else f" --data-dir {settings.data_dir.absolute()}"
    program = f"{sys.executable} -m datacosmos" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
    banner = "\n".join([
        "",
        "DataCosmos is ready.",
        *([f"  page         {addresses.api}/"] if settings.page else []),
        f"  playground   {addresses.api}/graphql",
        f"  docs         {addresses.api}/docs",
        f"  health       {addresses.api}/health",
        f"  calculation  {addresses.calculation}/docs",
        *(f"  data server  {address}{simulated}" for address in addresses.data_servers),
        f"  admin token  {program} token --role admin{where}",
        "",
    ])  # fmt: skip
    announce_ready(settings, banner, url=addresses.api)
