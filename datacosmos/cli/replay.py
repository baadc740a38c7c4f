"""`replay` sends a file to a service that runs."""

import sys
from pathlib import Path

import click

from datacosmos.cli.remote import service_url
from datacosmos.cli.running import run
from datacosmos.cli.with_settings import with_settings
from datacosmos.settings import Settings


@click.group()
def replay() -> None:
    """Send a file to the service."""


@replay.command("locations")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", "address", help="The service's address.", show_default="DATACOSMOS_URL, or HOST and PORT")
@click.option("--token", "bearer", help="A token, where the service wants one: its subject must be the user_id.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=1,
    help="Records under way at once; those of one user stay in the order of the file all the same.",
)
@with_settings
def replay_locations(
    settings: Settings, *, file: Path, address: str | None, bearer: str | None, concurrency: int
) -> None:
    """Send a CSV of locations in the order of the file, and tell what became of them.

    Its first line names the columns: timestamp, lat, long, accuracy, speed, user_id. It may be sent again at any time:
    what was stored before is a duplicate.
    """
    from datacosmos.simulators.replay import read_records, replay

    url = service_url(settings, address)
    length = sum(1 for _ in read_records(file))
    with click.progressbar(length=length, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        sending = replay(read_records(file), url, token=bearer, concurrency=concurrency, sent=lambda: bar.update(1))
        tally = run(sending)
    click.echo(tally)
    sys.exit(0 if tally.delivered else 1)
