"""Sends a CSV file of locations to the service, as the phones of their users would."""

import asyncio
import csv
import json
import math
import re
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog

from datacosmos.errors import InvalidFile
from datacosmos.simulators.locations import FIELDS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Record = dict[str, Any]
NUMBERS = frozenset(FIELDS[1:5])
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

# Statuses of a service that is away, or of the balancer before it; seconds from one try to the next.
AWAY = frozenset({502, 503, 504})
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
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
    """The service stayed away for longer than it was waited for."""


def read_records(path: Path) -> Iterator[Record]:
    """What to send for each row. Raises InvalidFile for a file that can't be one of locations."""
    # What is no UTF-8 stays what it is, and is refused too.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file)
        try:
            _require_columns(path, rows.fieldnames or ())
            for row in rows:
                yield to_record(row)
        except csv.Error as error:
            raise InvalidFile(f"{path}: line {rows.line_num + 1} is no CSV: {error}") from None


def to_record(row: Mapping[str, str | None]) -> Record:
    """A number's text as a number; any other stays text, and what is not there is left out: the service refuses it."""
    return {name: _value(name, text) for name in FIELDS if (text := row[name]) is not None}


async def replay(
    records: Iterable[Record],
    url: str,
    *,
    token: str | None = None,
    concurrency: int = 1,
    patience: timedelta = timedelta(minutes=1),
    sent: Callable[[], None] = lambda: None,
) -> Tally:
    """Send the records in order; of several lanes, each takes all of a user's, so that theirs stay in order.

    A service that is away is waited for, up to `patience`; `sent` is called after each answer.
    """
    tally = Tally()
    lanes = [asyncio.Queue[Record | None](AHEAD) for _ in range(concurrency)]
    trusted = ssl.create_default_context()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

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
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + patience.total_seconds(), FIRST_PAUSE
    while True:
        try:
            answer = await client.put("/location", content=json.dumps(record))
            if answer.status_code not in AWAY:
                return answer
            fault = f"the service answered {answer.status_code}"
        except httpx.TransportError as error:
            fault = f"the service can't be reached ({type(error).__name__})"
        if loop.time() > deadline:
            raise NoAnswer(f"{fault} for {patience.total_seconds():g} s")
        if pause == FIRST_PAUSE:
            log.warning("waiting", fault=fault)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _require_columns(path: Path, columns: Collection[str]) -> None:
    if missing := [name for name in FIELDS if name not in columns]:
        raise InvalidFile(f"{path}: the first line must name the columns; missing: {', '.join(missing)}")


def _result(answer: httpx.Response) -> object:
    """None where another server than ours answered."""
    try:
        return answer.json()["result"]
    except (ValueError, TypeError, KeyError):
        return None


def _value(name: str, text: str) -> str | float:
    if name not in NUMBERS or not NUMBER.fullmatch(text.strip()):
        return text
    number = float(text)
    return number if math.isfinite(number) else text
