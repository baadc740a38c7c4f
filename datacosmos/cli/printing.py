"""The commands that print something and end."""

from datetime import UTC, datetime
from pathlib import Path

import click

from datacosmos import setting_origins
from datacosmos.auth.issuers import GIVEN_OUT, Role
from datacosmos.auth.secret import load_issuer
from datacosmos.cli.with_settings import load, warn_of_misspelt, with_settings
from datacosmos.setting_types import parse_duration
from datacosmos.settings import Settings


@click.command()
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
    now = datetime.now(UTC)
    click.echo(load_issuer(settings).issue(role=Role(role), subject=subject, lifetime=lifetime, now=now))


@click.command()
def schema() -> None:
    """Print the GraphQL schema as SDL."""
    from datacosmos.api.graphql.schema import print_schema

    click.echo(print_schema(), nl=False)


@click.command("settings")
@click.option("--markdown", is_flag=True, help="Every setting with its default and what it is, as in docs/operator.md.")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the embedded engines keep everything.")
def show_settings(*, markdown: bool, config: Path | None, data_dir: Path | None) -> None:
    """Show every setting in force and where it comes from; secrets are masked."""
    if markdown:
        click.echo(setting_origins.markdown())
        return
    settings = load(config, data_dir=data_dir)
    warn_of_misspelt()
    click.echo(setting_origins.table(settings, setting_origins.origins(config, {"data_dir"} if data_dir else ())))
