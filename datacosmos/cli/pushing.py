"""Points of a CSV pushed to a running service by the name of their series, in batches that may be sent again."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

import click
import httpx
import orjson
import structlog

from datacosmos.cli.remote import NotNow, Service
from datacosmos.errors import InvalidFile, ServiceError
from datacosmos.retries import Backoff, retry
from datacosmos.sources.csv_points import Columns, CsvPoint, Fault, read_csv_points
from datacosmos.sources.csv_rows import BrokenCsv, lines_of, read_rows

Row = CsvPoint | Fault
BATCH = 5000  # rows: fewer than the names that one request may have, and some hundred KB
RESENDING = Backoff(timedelta(milliseconds=100), timedelta(seconds=5), patience=timedelta(minutes=1))

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """Points that were stored, and that had a value at their time already; faulty rows; the last line that is dealt
    with."""

    stored: int = 0
    already: int = 0
    faulty: int = 0
    line: int = 0

    def __str__(self) -> str:
        return f"stored {self.stored}, already there {self.already}, faulty {self.faulty}"


def checked_length(file: Path, columns: Columns) -> int:
    """How many rows the file has. Raises InvalidFile where it is to be taken not at all."""
    if not file.is_file():
        raise InvalidFile(f"{file}: must be a file, which is checked as a whole before anything of it is sent")
    with _reading(file), file.open("rb") as opened:
        return sum(1 for _ in read_rows(lines_of(opened), columns.required))


def read_file(file: Path, columns: Columns) -> Iterator[Row]:
    with _reading(file), file.open("rb") as opened:
        yield from read_csv_points(lines_of(opened), columns)


@contextmanager
def _reading(file: Path) -> Generator[None]:
    try:
        yield
    except BrokenCsv as error:
        raise InvalidFile(f"{file}: {error}") from None
    except OSError as error:
        raise InvalidFile(f"{file}: it can't be read: {error.strerror}") from None


async def push(service: Service, rows: Iterator[Row], done: Callable[[int], None]) -> Tally:
    """Faulty rows are named on standard error; `done` is called with the rows of each batch. Raises ServiceError."""
    tally = Tally()
    async with service.client() as client:
        while batch := list(islice(rows, BATCH)):
            await _deliver(service, client, [row for row in batch if isinstance(row, CsvPoint)], tally)
            for fault in (row for row in batch if isinstance(row, Fault)):
                click.echo(f"line {fault.line}: {fault.says}", err=True)
                tally.faulty += 1
            tally.line = batch[-1].line
            done(len(batch))
    return tally


async def _deliver(service: Service, client: httpx.AsyncClient, points: list[CsvPoint], tally: Tally) -> None:
    """A service that answered before is waited for."""
    if not points:
        return
    body = encode(points)
    patience = RESENDING.patience if tally.stored + tally.already else timedelta(-1)
    backoff = replace(RESENDING, patience=patience)
    try:
        stored, already = await retry(lambda: _post(service, client, body), backoff, on=NotNow, failed=_note_waiting)
    except ServiceError as error:
        so_far = f"up to line {tally.line} all is stored; " if tally.line else ""
        raise ServiceError(f"{error}; {so_far}import the file again") from None
    tally.stored += stored
    tally.already += already


async def _post(service: Service, client: httpx.AsyncClient, body: bytes) -> tuple[int, int]:
    """How many were stored, and how many were there already."""
    with service.answering():
        answer = await client.post("/api", content=body, headers={"Content-Type": "application/json"})
    try:
        counts = answer.json()
        return counts["stored"], counts["already"]
    except (ValueError, TypeError, LookupError):
        raise service.refusal(answer) from None


def encode(points: Iterable[CsvPoint]) -> bytes:
    """As POST /api takes them; a time keeps its microsecond in every year."""
    return orjson.dumps([{"name": name, "t": orjson.Fragment(_seconds(t)), "v": v} for _, name, t, v in points])


def _seconds(microseconds: int) -> str:
    return format(Decimal(microseconds).scaleb(-6), "f")


def _note_waiting(error: NotNow, before: int) -> None:
    if before == 0:
        log.warning("waiting", fault=str(error))
