"""`export` writes what a running service has to a file or standard output, as it comes."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from datacosmos.cli.remote import Service, on_terminal, with_service
from datacosmos.cli.running import run, standard_output
from datacosmos.domain.points import Reason
from datacosmos.errors import InvalidFile, ServiceError

if TYPE_CHECKING:
    import httpx

MEDIA_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}
C = TypeVar("C", bound=Callable[..., Any])


def _exported(*formats: str) -> Callable[[C], C]:
    """The flags of every export."""
    options = (
        click.option("--start", help="From this time on, like 2026-11-22T16:00:00Z."),
        click.option("--end", help="Up to this time."),
        click.option("--format", "kind", type=click.Choice(formats), default=formats[0], help="What it is written as."),
        click.option(
            "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; else standard output."
        ),
    )

    def add(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group()
def export() -> None:
    """Write what a running service has to a file."""


@export.command("points")
@click.option("--series", default="datacosmos", help="Which series.")
@_exported("json", "ndjson", "csv", "arrow")
@with_service
def export_points(service: Service, *, kind: str, output: Path | None, **asked: str | None) -> None:
    """Write all accepted points of a series in a range.

    A file is named FILE.part until it is whole. The exit code is 1 where not all could be written.
    """
    _write(service, "/points", asked, kind, output)


@export.command("discards")
@click.option("--reason", type=click.Choice([*Reason.__members__], case_sensitive=False), help="One of their reasons.")
@click.option("--source", help="Which source; unset: all.")
@_exported("ndjson", "csv")
@with_service
def export_discards(service: Service, *, kind: str, output: Path | None, **asked: str | None) -> None:
    """Write all discards received in a range, for administrators.

    A file is named FILE.part until it is whole. The exit code is 1 where not all could be written.
    """
    _write(service, "/discards", asked, kind, output)


def _write(service: Service, path: str, asked: Mapping[str, str | None], kind: str, output: Path | None) -> None:
    params = {name: value for name, value in asked.items() if value is not None}
    with click.progressbar(
        repeat(None), label="bytes", show_pos=True, hidden=not on_terminal(), file=sys.stderr
    ) as bar:
        run(_transfer(service, path, params, MEDIA_TYPES[kind], output, bar.update))


async def _transfer(
    service: Service,
    path: str,
    params: Mapping[str, str],
    media_type: str,
    output: Path | None,
    taken: Callable[[int], None],
) -> None:
    async with (
        service.client() as client,
        client.stream("GET", path, params=params, headers={"Accept": media_type}) as answer,
    ):
        await _require(service, answer, media_type)
        with _destination(output) as file:
            try:
                with service.answering():
                    async for part in answer.aiter_bytes():
                        file.write(part)
                        taken(len(part))
            except ServiceError as error:
                what = _part(output) or "what was written"
                raise ServiceError(f"{error}; {what} is not whole: export again") from None


async def _require(service: Service, answer: "httpx.Response", media_type: str) -> None:
    """An answer of that type, of which it can be told whether it is whole. Raises ServiceError."""
    if answer.status_code != 200:
        await answer.aread()
        raise service.refusal(answer)
    if answer.headers.get("content-type", "").partition(";")[0] != media_type:
        raise ServiceError(f"the service at {service.shown} does not give {media_type} here: take another --format")
    if answer.headers.keys().isdisjoint({"content-length", "transfer-encoding"}):
        raise ServiceError(f"what stands before the service at {service.shown} hides where an answer ends")


@contextmanager
def _destination(output: Path | None) -> Generator[BinaryIO]:
    """A file has its name once it is whole."""
    part = _part(output)
    try:
        if output is None or part is None:
            with standard_output() as stdout:
                yield stdout
            return
        with part.open("wb") as file:
            yield file
        part.replace(output)
    except BrokenPipeError:
        raise  # whoever read it has gone
    except OSError as error:
        raise InvalidFile(f"{part or 'standard output'} can't be written: {error.strerror}") from None


def _part(output: Path | None) -> Path | None:
    return output and output.with_name(f"{output.name}.part")
