"""The commands, a module a group.

The programs are imported by those commands alone that start them, so `--help` and `token` are quick.
"""

import sys

import click

from datacosmos import __version__
from datacosmos.cli import export, importing, ingest, printing, query, replay, services, simulate, watch
from datacosmos.cli.with_settings import exit_code
from datacosmos.errors import DatacosmosError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="datacosmos")
def cli() -> None:
    """DataCosmos takes in readings, judges them, keeps every one, and answers GraphQL queries about them.

    Every setting is an environment variable DATACOSMOS_<NAME>, a line of .env, or a line of the TOML file given by
    --config; `datacosmos settings` lists them. Start with `datacosmos serve --demo`.
    """


for command in (services.serve, services.api, ingest.ingest, services.write, services.summarise, services.calculation):
    cli.add_command(command)
for command in (query.query, export.export, importing.import_csv, watch.watch):
    cli.add_command(command)
for command in (simulate.simulate, replay.replay, printing.token, printing.schema, printing.show_settings):
    cli.add_command(command)


def main() -> None:
    """Errors of ours are one line on standard error, not a traceback."""
    try:
        cli(prog_name="datacosmos")
    except DatacosmosError as error:
        click.echo(f"datacosmos: {error}", err=True)
        sys.exit(exit_code(error))
