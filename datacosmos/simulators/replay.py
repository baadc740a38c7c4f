"""Sends a CSV file of locations to the service, as the phones of their users would."""

import asyncio
import json
import math
import re
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog

from datacosmos.errors import InvalidFile
from datacosmos.retries import Backoff, retry
from datacosmos.setting_types import without_userinfo
from datacosmos.simulators.locations import FIELDS
from datacosmos.sources.csv_rows import BrokenCsv, lines_of, read_rows

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Record = dict[str, Any]
NUMBERS = frozenset(FIELDS[1:5])
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

# Statuses of a service that is unavailable, or of the balancer before it.
UNAVAILABLE = frozenset({502, 503, 504})
RESENDING = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))
NO_HEADERS: Mapping[str, str] = {}
AHEAD = 100  # records read ahead for each lane


@dataclass
class Tally:
    """What became of the records; `failed` counts by status, and `gave_up` says why not all were sent."""

    stored: int = 0
    duplicates: int = 0
    invalid: int = 0
    failed: Counter[int] = field(default_factory=Counter[int])
    gave_up: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether each was taken, or refused for what it is."""
        return not self.failed and self.gave_up is None

    def add(self, answer: httpx.Response) -> None:
        match answer.status_code, _result(answer):
            case 200, "stored":
                self.stored += 1
            case 200, "duplicate":
                self.duplicates += 1
            case 400, _:
                self.invalid += 1
            case status, _:
                self.failed[status] += 1

    def __str__(self) -> str:
        parts = [f"stored {self.stored}", f"duplicates {self.duplicates}", f"refused as invalid (400) {self.invalid}"]
        parts += [f"failed ({status}) {count}" for status, count in sorted(self.failed.items())]
        parts += [f"gave up: {self.gave_up}; send the file again"] if self.gave_up else []
        return ", ".join(parts)


class NoAnswer(Exception):
    """The service is unavailable, or was for longer than it was waited for."""


def read_records(path: Path) -> Iterator[Record]:
    """What to send for each row. Raises InvalidFile for a file that can't be one of locations."""
    if not path.is_file():
        raise InvalidFile(f"{path}: must be a file, which is checked as a whole before anything of it is sent")
    with path.open("rb") as file:
        try:
            for row in read_rows(lines_of(file), FIELDS):
                yield to_record(row.fields)
        except BrokenCsv as error:
            raise InvalidFile(f"{path}: {error}") from None


def to_record(row: Mapping[str, str]) -> Record:
    """A number's text as a number; any other stays text: the service refuses it."""
    return {name: _value(name, row[name]) for name in FIELDS}


async def replay(
    records: Iterable[Record],
    url: str,
    headers: Mapping[str, str] = NO_HEADERS,
    *,
    concurrency: int = 1,
    patience: timedelta = timedelta(minutes=1),
    sent: Callable[[], None] = lambda: None,
) -> Tally:
    """Send the records in order; of several lanes, each takes all of a user's, so that theirs stay in order.

    `headers` go with each. A service that is unavailable is waited for, up to `patience`; `sent` is called after each
    answer.
    """
    tally = Tally()
    lanes = [asyncio.Queue[Record | None](AHEAD) for _ in range(concurrency)]
    trusted = ssl.create_default_context()
    headers = {"Content-Type": "application/json", **headers}

    async def work(lane: asyncio.Queue[Record | None]) -> None:
        # A client of its own: a pool looks at all of its connections for each request.
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=trusted) as client:
            while (record := await lane.get()) is not None:
                tally.add(await _deliver(client, record, patience))
                sent()

    try:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(work(lane))
            for record in records:
                await lanes[hash(record.get("user_id")) % concurrency].put(record)
            for lane in lanes:
                await lane.put(None)
    except* NoAnswer as group:
        tally.gave_up = str(group.exceptions[0])
    return tally


async def _deliver(client: httpx.AsyncClient, record: Record, patience: timedelta) -> httpx.Response:
    """The service's answer. Sent again where it is not known whether one arrived: at worst it is a duplicate."""
    try:
        return await retry(
            lambda: _put(client, record), replace(RESENDING, patience=patience), on=NoAnswer, failed=_note_waiting
        )
    except NoAnswer as error:
        raise NoAnswer(f"{error} for {patience.total_seconds():g} s") from None


async def _put(client: httpx.AsyncClient, record: Record) -> httpx.Response:
    service = f"the service at {without_userinfo(str(client.base_url))}"
    try:
        answer = await client.put("/location", content=json.dumps(record))
    except httpx.TransportError:
        raise NoAnswer(f"{service} can't be reached") from None
    if answer.status_code in UNAVAILABLE:
        raise NoAnswer(f"{service} answered {answer.status_code}")
    return answer


def _note_waiting(error: NoAnswer, before: int) -> None:
    if before == 0:
        log.warning("waiting", fault=str(error))


def _result(answer: httpx.Response) -> object:
    """None where another server than ours answered."""
    try:
        return answer.json()["result"]
    except (ValueError, TypeError, KeyError):
        return None


def _value(name: str, text: str) -> str | float:
    if name not in NUMBERS or not NUMBER.fullmatch(text):
        return text
    number = float(text)
    return number if math.isfinite(number) else text
