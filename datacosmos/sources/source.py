"""A source as a record: what it is called, how it is asked, how its payloads parse, and which rules judge them."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from datacosmos.domain.points import Delivery, Point, Reading, Reason
from datacosmos.domain.rules import Rule, judge
from datacosmos.errors import SettingsError, shorten
from datacosmos.setting_types import without_userinfo

MAX_PAYLOAD = 64 * 1024
NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?")
"""One token of the queue's subjects, whose dots and wildcards would count one source's messages for another's."""


class Parsed(NamedTuple):
    """What a payload says. What could not be read is None (tags: left out), and `faults` says why."""

    time: datetime | None = None
    value: float | None = None
    tags: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    series: str | None = None
    sent_value: float | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """How a source is asked: GET takes one reading, 404 says that there is none now. `limit` is that of one poll."""

    url: str
    timeout: timedelta
    interval: timedelta
    limit: int
    backoff_max: timedelta

    @property
    def address(self) -> str:
        """The URL as it may be shown."""
        return without_userinfo(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """How a file of the source's records is told from any other file, and what such a record is."""

    is_record: Callable[[bytes], bool]
    described: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """How readings are pushed to us: POST to a path takes one record, an array of them, or a record a line.

    `record` is the JSON schema of one, and wide: what doesn't fit is taken too, and discarded as malformed. `keys` is
    the namespace of the delivery ids that come of an Idempotency-Key, and no other source's.
    """

    path: str
    record_name: str
    record: Mapping[str, Any]
    example: Mapping[str, Any]
    keys: UUID
    max_bytes: int
    max_readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`name` tells the source apart on the queue, in the store, in metrics and in the ledger.

    `parse` is given a payload of at most `max_bytes`, and raises where nothing of it can be read, best a ValueError
    with a sentence. One of the `rules` must be `malformed`. `series` is that of readings which name none.
    With `point_is_receipt` each delivery is one point and leaves no receipt. That must not change once readings are
    stored: the ledger counts either points or receipts. Long pushes are read in another process, so functions of a
    pushed source stand in its module.
    """

    name: str
    about: str
    parse: Callable[[bytes], Parsed]
    rules: tuple[Rule, ...]
    series: str | None = None
    payload: str = "payload"
    max_bytes: int = MAX_PAYLOAD
    point_is_receipt: bool = False
    polled: Polled | None = None
    pushed: Pushed | None = None
    records: Records | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SettingsError(f"{self.name!r} is no name of a source: letters, digits, _ and -, with at most one /")
        if Reason.MALFORMED not in {rule.reason for rule in self.rules}:
            raise ValueError(f"{self.name} would accept what can't be read: its rules need `malformed`")

    def read(self, payload: bytes, broken: str | None = None) -> Reading:
        """The reading in a payload, whatever its bytes: what can't be read is left out, and named in the faults.

        `broken` says how the payload broke off; `raw` is cut at `max_bytes`, and nothing behind the cut is looked at.
        """
        raw = payload[: self.max_bytes]
        if len(payload) > self.max_bytes and broken is None:
            broken = f"the {self.payload} is longer than {self.max_bytes} bytes"
        try:
            parsed = self.parse(raw)
        except Exception as error:  # noqa: BLE001  whatever it is, the payload is kept: it may exist nowhere else
            # A payload that was cut can't be read for that reason: nothing new.
            return Reading(source=self.name, series=self.series, faults=(broken or _fault(error),), raw=raw)
        series = parsed.series or self.series
        faults = parsed.faults or _left_out(parsed, series)
        return Reading(
            source=self.name,
            series=series,
            time=parsed.time,
            value=parsed.value,
            sent_value=parsed.sent_value,
            tags=parsed.tags,
            identity=parsed.identity,
            faults=(broken, *faults) if broken else faults,
            raw=raw,
        )

    def receive(
        self, payloads: Sequence[bytes], *, delivery_id: str, received_at: datetime, sender: str | None = None
    ) -> Delivery:
        """What came at once, each payload a judged point."""
        return self.judged([self.read(payload) for payload in payloads], delivery_id, received_at, sender)

    def judged(
        self, readings: Sequence[Reading], delivery_id: str, received_at: datetime, sender: str | None = None
    ) -> Delivery:
        """Raises ValueError for several readings, or none, of a source whose points are their own receipts."""
        if self.point_is_receipt and len(readings) != 1:
            raise ValueError(f"a delivery of {self.name} is one reading, not {len(readings)}")
        points = tuple(
            Point(
                id=delivery_id if self.point_is_receipt else f"{delivery_id}/{n:05}",
                reading=reading,
                verdict=judge(reading, received_at, self.rules),
                received_at=received_at,
            )
            for n, reading in enumerate(readings)
        )
        return Delivery(id=delivery_id, source=self.name, received_at=received_at, points=points, sender=sender)


def _left_out(parsed: Parsed, series: str | None) -> tuple[str, ...]:
    """What keeps a reading from being a point, although its source found no fault."""
    if parsed.time is None or parsed.time.tzinfo is None:
        return ("it has no time with an offset",)
    if parsed.value is None or not math.isfinite(parsed.value):
        return ("it has no finite value",)
    return () if series else ("it has no series",)


def _fault(error: Exception) -> str:
    if not isinstance(error, ValueError):
        return f"it can't be read: {type(error).__name__}"
    return shorten(str(error)).encode(errors="backslashreplace").decode()
