"""The data server: one JSON object a reading, asked for by us.

    {"time": 1711644934, "value": [218, 202, 115, 191], "tags": []}

`time` is whole seconds since 1970, `value` the four bytes of a little-endian float32, and `tags` a list of text;
null or absent tags are none, and fields of other names are ignored.
"""

import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

from datacosmos.domain import rules as domain_rules
from datacosmos.domain.rules import Rule
from datacosmos.setting_servers import DataServer
from datacosmos.settings import Settings
from datacosmos.sources.json.objects import Odd, encodable, kind, read_object
from datacosmos.sources.source import Parsed, Polled, Source

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


def configured(settings: Settings) -> Iterator[Source]:
    """The servers of the list; the one of the single setting where there is no list, or where it is given too."""
    if not settings.data_servers or "data_server_url" in settings.model_fields_set:
        yield source(DataServer(name=SERIES, url=settings.data_server_url), settings)
    for server in settings.data_servers:
        yield source(server, settings)


def source(server: DataServer, settings: Settings) -> Source:
    """What the server does not limit itself is limited as for all; a `max_lead` of null is none."""
    max_lead = server.max_lead if "max_lead" in server.model_fields_set else settings.max_lead
    return Source(
        name=SOURCE if server.name == SERIES else f"{SOURCE}/{server.name}",
        series=server.series or server.name,
        about="asked by us, for one JSON object a reading: its time, value and tags",
        parse=parse,
        rules=rules(server.max_age or settings.max_age, max_lead),
        payload="body",
        max_bytes=MAX_BODY,
        point_is_receipt=True,
        polled=Polled(
            url=server.url,
            timeout=server.timeout or settings.data_server_timeout,
            interval=server.poll_interval or settings.poll_interval,
            limit=server.poll_limit or settings.poll_limit,
            backoff_max=server.poll_backoff_max or settings.poll_backoff_max,
        ),
    )


def parse(body: bytes) -> Parsed:
    """What a body says. Raises ValueError where it is no JSON object."""
    fields = read_object(body)
    faults: list[str] = []
    return Parsed(
        time=_time(fields.get("time", Odd.MISSING), faults),
        value=_value(fields.get("value", Odd.MISSING), faults),
        tags=_tags(fields.get("tags"), faults),
        faults=tuple(faults),
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
    texts = [tag if isinstance(tag, str) and encodable(tag) else None for tag in cast("list[object]", tags)]
    if None in texts:
        faults.append(
            f"tags must be text that UTF-8 can encode, but {texts.count(None)} of {len(texts)} are not, "
            f"the first at tags[{texts.index(None)}]"
        )
    return tuple(tag for tag in texts if tag is not None)
