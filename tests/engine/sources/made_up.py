"""A tide gauge, asked by us: centimetres and the seconds since 1970, as in `412;1711644934`."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from datacosmos.domain.rules import malformed, too_old
from datacosmos.settings import Settings
from datacosmos.sources.source import Parsed, Polled, Source


def configured(settings: Settings) -> Iterator[Source]:
    yield Source(
        name="tide_gauge",
        series="tides",
        about="asked by us, for a line of text a reading: centimetres and seconds",
        parse=parse,
        rules=(malformed(), too_old(settings.max_age)),
        polled=Polled(
            url=os.environ["TIDE_GAUGE_URL"],
            timeout=settings.data_server_timeout,
            interval=settings.poll_interval,
            limit=settings.poll_limit,
            backoff_max=settings.poll_backoff_max,
        ),
    )


def parse(payload: bytes) -> Parsed:
    centimetres, seconds = payload.decode().split(";")
    return Parsed(time=datetime.fromtimestamp(int(seconds), UTC), value=int(centimetres) / 100)
