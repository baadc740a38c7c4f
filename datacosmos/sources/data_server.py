"""The data server: one JSON object a reading, asked for by us.

    {"time": 1711644934, "value": [218, 202, 115, 191], "tags": []}

`time` is whole seconds since 1970, `value` the four bytes of a little-endian float32, and `tags` a list of text;
null or absent tags are none, and fields of other names are ignored.
"""

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import cast

from datacosmos.domain import rules as domain_rules
from datacosmos.domain.points import Reading
from datacosmos.domain.rules import Rule
from datacosmos.sources.strict_json import Odd, encodable, kind, read_object

SOURCE = "data_server"
SERIES = "datacosmos"
MAX_BODY = 64 * 1024

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rules(max_age: timedelta, max_lead: timedelta | None) -> tuple[Rule, ...]:
    """The rules that judge a data server's reading; without a `max_lead` the future is no fault."""
    ahead = () if max_lead is None else (domain_rules.too_far_ahead(max_lead),)
    return (
        domain_rules.malformed(),
        domain_rules.too_old(max_age),
        domain_rules.tagged_system(),
        domain_rules.tagged_suspect(),
        *ahead,
    )


def parse(body: bytes, *, broken: str | None = None) -> Reading:
    """The reading in a body, whatever its bytes: what can't be told is left out, and named in the faults.

    `broken` says how the body broke off; `raw` is cut at MAX_BODY, and nothing behind the cut is looked at.
    """
    raw = body[:MAX_BODY]
    faults = [broken] if broken else []
    if len(body) > MAX_BODY:
        faults.append(f"the body is longer than {MAX_BODY} bytes")
    try:
        fields = read_object(raw)
    except ValueError as error:
        # A body that was cut is no JSON for that reason: nothing new.
        return Reading(source=SOURCE, series=SERIES, faults=tuple(faults or [str(error)]), raw=raw)
    return Reading(
        source=SOURCE,
        series=SERIES,
        time=_time(fields.get("time", Odd.MISSING), faults),
        value=_value(fields.get("value", Odd.MISSING), faults),
        tags=_tags(fields.get("tags"), faults),
        faults=tuple(faults),
        raw=raw,
    )


def _time(seconds: object, faults: list[str]) -> datetime | None:
    if type(seconds) is not int:
        faults.append(f"time must be a whole number of seconds since 1970, but is {kind(seconds)}")
        return None
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        faults.append("time must lie in the years 1 to 9999")
        return None


def _value(numbers: object, faults: list[str]) -> float | None:
    if (wrong := _no_bytes(numbers)) is not None:
        faults.append(f"value must be four whole numbers from 0 to 255, but {wrong}")
        return None
    (value,) = struct.unpack("<f", bytes(cast("list[int]", numbers)))
    if not math.isfinite(value):
        faults.append("value must be finite, but is NaN or infinity")
        return None
    return value


def _no_bytes(numbers: object) -> str | None:
    """What keeps a value from being four bytes."""
    if not isinstance(numbers, list):
        return f"is {kind(numbers)}"
    for index, number in enumerate(cast("list[object]", numbers[:4])):
        if type(number) is not int:
            return f"value[{index}] is {kind(number)}"
        if not 0 <= number <= 255:
            return f"value[{index}] lies outside"
    return None if len(numbers) == 4 else f"has {len(numbers)}"  # pyright: ignore[reportUnknownArgumentType]


def _tags(tags: object, faults: list[str]) -> tuple[str, ...]:
    if tags is None:
        return ()
    if not isinstance(tags, list):
        faults.append(f"tags must be a list of text, but is {kind(tags)}")
        return ()
    told = [tag if isinstance(tag, str) and encodable(tag) else None for tag in cast("list[object]", tags)]
    if None in told:
        faults.append(
            f"tags must be text that UTF-8 can encode, but {told.count(None)} of {len(told)} are not, "
            f"the first at tags[{told.index(None)}]"
        )
    return tuple(tag for tag in told if tag is not None)
