"""What the commands that run a program share: where it listens, its event loop, and saying that it is ready."""

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import click
import structlog

from datacosmos.settings import Settings

log = structlog.stdlib.get_logger(__name__)
R = TypeVar("R")

host = click.option("--host", help="The address to listen on.")
port = click.option("--port", type=int, help="The port to listen on; 0 takes a free one.")
workers = click.option("--workers", "api_workers", type=int, help="Processes of the API that share its port.")
aside = click.option(
    "--aside", is_flag=True, hidden=True, help="Whether it is part of a program, which tells of it and ends it."
)
listener = click.option(
    "--listener", "descriptor", type=int, hidden=True, help="The descriptor of the socket that a parent of ours opened."
)


def run(program: Coroutine[Any, Any, R]) -> R:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(program)


@contextmanager
def standard_output() -> Generator[BinaryIO]:
    """Takes all bytes: with PYTHONUNBUFFERED, sys.stdout may drop what a full pipe has no room for."""
    sys.stdout.flush()
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        yield output


def announce_ready(settings: Settings, banner: str, **facts: object) -> None:
    """What reads the log as JSON has no use for a banner."""
    if settings.log_format == "json":
        log.info("ready", **facts)
    else:
        click.echo(banner)
