"""`ingest` runs the poller; its commands take in the readings of another source."""

import sys
from typing import BinaryIO

import click
from click.core import ParameterSource

from datacosmos.cli.running import run
from datacosmos.cli.with_settings import with_settings
from datacosmos.domain.points import Reason
from datacosmos.settings import Settings


@click.group(invoke_without_command=True)
@with_settings
@click.pass_context
def ingest(context: click.Context, settings: Settings) -> None:
    """Run the poller of the data server alone; or, with a command, take in readings of another source."""
    if context.invoked_subcommand is None:
        from datacosmos.programs import services

        run(services.ingest(settings))
        return
    for name, flag in (("config", "--config"), ("data_dir", "--data-dir")):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"give {flag} after the command: datacosmos ingest {context.invoked_subcommand} {flag} …"
            )


@ingest.command("sensors")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--force", is_flag=True, help="Take in also what holds no sensor's record in its first hundred lines.")
@click.option("--allow-malformed", is_flag=True, help="Exit with 0 also where some are malformed.")
@with_settings
def ingest_sensors(settings: Settings, *, file: BinaryIO, force: bool, allow_malformed: bool) -> None:
    """Put sensors' records on the queue, from a file or standard input: a JSON object a line, or an array of them.

    A file may be sent again: what was stored before becomes a duplicate. The exit code is 0 where all went well, 1
    where not all could be taken, 2 where a setting or flag is wrong, and 3 where all is taken, but some malformed.
    """
    from datacosmos.programs import services

    def show(text: str) -> None:
        click.echo(text, err=True)

    tally = run(services.ingest_sensors(settings, file, force=force, show=show))
    if tally is None:
        sys.exit(1)
    if Reason.MALFORMED in tally.reasons and not allow_malformed:
        sys.exit(3)
