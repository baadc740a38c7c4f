"""`replay` sends a file to a service that runs."""

import sys
from pathlib import Path

import click

from datacosmos.cli.remote import Service, with_service
from datacosmos.cli.running import run


@click.group()
def replay() -> None:
    """Send a file to the service."""


@replay.command("locations")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=1,
    help="Records under way at once; those of one user stay in the order of the file all the same.",
)
@with_service
def replay_locations(service: Service, *, file: Path, concurrency: int) -> None:
    """Send a CSV of locations in the order of the file, and tell what became of them.

    Its first line names the columns: timestamp, lat, long, accuracy, speed, user_id. It may be sent again at any time:
    what was stored before is a duplicate. Where the service wants a token, its subject must be the user_id.
    """
    from datacosmos.simulators.replay import read_records, replay

    length = sum(1 for _ in read_records(file))
    with click.progressbar(length=length, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        records, headers = read_records(file), service.headers
        tally = run(replay(records, service.url, headers, concurrency=concurrency, sent=lambda: bar.update(1)))
    click.echo(tally)
    sys.exit(0 if tally.delivered else 1)
