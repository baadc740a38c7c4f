"""The data server: one JSON object a reading, asked for by us.

    {"time": 1711644934, "value": [218, 202, 115, 191], "tags": []}

`time` is whole seconds since 1970, `value` the four bytes of a little-endian float32, and `tags` a list of text;
null or absent tags are none, and fields of other names are ignored.
"""

import json
import math
import struct
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import cast

from datacosmos.domain import rules as domain_rules
from datacosmos.domain.points import Reading
from datacosmos.domain.rules import Rule

SOURCE = "data_server"
SERIES = "datacosmos"
MAX_BODY = 64 * 1024
MAX_DIGITS = 100

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What JSON's values are called in a fault.
KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a whole number",
    float: "a number with a fraction or exponent",
    str: "text",
    list: "a list",
    dict: "an object",
}


class Odd(Enum):
    """What stands in a field instead of a value that can be told."""

    MISSING = "missing"
    # Parsers differ in which one wins, so that what was meant can't be told.
    REPEATED = "given more than once"
    # Python refuses to read thousands of digits, and would take the whole payload's rest with them.
    ENDLESS = f"a number of more than {MAX_DIGITS} digits"


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
        fields = _fields(raw)
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


def _fields(raw: bytes) -> dict[str, object]:
    """The fields of a JSON object. Raises ValueError, a sentence that holds nothing of the body."""
    try:
        fields = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_int=_whole_number, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("the body is nested too deep") from None
    if not isinstance(fields, dict):
        raise ValueError(f"the body must be an object, but is {_kind(fields)}")  # noqa: TRY004
    return cast("dict[str, object]", fields)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        fields[name] = Odd.REPEATED if name in fields else value
    return fields


def _whole_number(digits: str) -> int | Odd:
    return int(digits) if len(digits) <= MAX_DIGITS else Odd.ENDLESS


def _no_constant(name: str) -> object:
    raise ValueError(f"the body is not JSON: it holds {name}")


def _time(seconds: object, faults: list[str]) -> datetime | None:
    if type(seconds) is not int:
        faults.append(f"time must be a whole number of seconds since 1970, but is {_kind(seconds)}")
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
        return f"is {_kind(numbers)}"
    for index, number in enumerate(cast("list[object]", numbers[:4])):
        if type(number) is not int:
            return f"value[{index}] is {_kind(number)}"
        if not 0 <= number <= 255:
            return f"value[{index}] lies outside"
    return None if len(numbers) == 4 else f"has {len(numbers)}"  # pyright: ignore[reportUnknownArgumentType]


def _tags(tags: object, faults: list[str]) -> tuple[str, ...]:
    if tags is None:
        return ()
    if not isinstance(tags, list):
        faults.append(f"tags must be a list of text, but is {_kind(tags)}")
        return ()
    told = [tag if isinstance(tag, str) and _encodable(tag) else None for tag in cast("list[object]", tags)]
    if None in told:
        faults.append(
            f"tags must be text that UTF-8 can encode, but {told.count(None)} of {len(told)} are not, "
            f"the first at tags[{told.index(None)}]"
        )
    return tuple(tag for tag in told if tag is not None)


def _encodable(text: str) -> bool:
    """Whether it is free of lone surrogates, which JSON can spell, but neither UTF-8 nor BSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    return value.value if isinstance(value, Odd) else KINDS[type(value)]
