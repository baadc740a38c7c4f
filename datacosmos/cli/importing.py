"""`import` puts a CSV's points into stored series of a running service."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datacosmos.cli.remote import Service, on_terminal, with_service
from datacosmos.cli.running import run

if TYPE_CHECKING:
    from datacosmos.sources.csv_points import Columns


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--time", required=True, metavar="COLUMN", help="The column of times: epoch seconds, or ISO 8601.")
@click.option("--value", required=True, metavar="COLUMN", help="The column of values.")
@click.option("--name", metavar="COLUMN", help="The column that names the series.")
@click.option("--literal-name", metavar="NAME", help="The series of all rows.")
@with_service
def import_csv(
    service: Service, *, file: Path, time: str, value: str, name: str | None, literal_name: str | None
) -> None:
    """Put the points of a CSV into stored series; either --name or --literal-name says which.

    It may be imported again at any time, also after it broke off: the first value of a name and time stays. A faulty
    row is named with its line and left out. The exit code is 3 where there are such, 1 where not all could be sent, or
    where the file is no CSV with these columns: then nothing of it is.
    """
    from datacosmos.cli.pushing import checked_length, push, read_file
    from datacosmos.sources.csv_points import Columns

    columns = Columns(time, value, name, literal_name)
    _check(columns)
    with click.progressbar(length=checked_length(file, columns), file=sys.stderr, hidden=not on_terminal()) as bar:
        tally = run(push(service, read_file(file, columns), bar.update))
    click.echo(tally)
    sys.exit(3 if tally.faulty else 0)


def _check(columns: "Columns") -> None:
    from datacosmos.sources.csv_points import check_name

    if (columns.name is None) == (columns.literal_name is None):
        raise click.UsageError("give either --name, a column, or --literal-name, a name")
    if columns.literal_name is not None:
        try:
            check_name(columns.literal_name)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--literal-name") from None
