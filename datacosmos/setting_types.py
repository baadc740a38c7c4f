"""The kinds of values that settings have, and what is said of a wrong one: never the value, it may be a secret."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, PlainSerializer, SecretStr
from pydantic_settings import NoDecode

UNITS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(value: object) -> timedelta:
    """Seconds as a number, or a number with one of the units ms, s, m, h, d: 90, 1.5, "90s", "5m", "1h"."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError("should be a number of seconds, or one like 90s, 5m, 1h, 7d")
    try:
        return timedelta(seconds=float(match[1]) * UNITS[match[2]])
    except OverflowError:
        raise ValueError("is longer than any duration can be") from None


def parse_list(value: object) -> object:
    """Names parted by commas, or a list as it is."""
    if isinstance(value, str):
        return [name for part in value.split(",") if (name := part.strip())]
    return value


def refuse_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("should be a number")  # noqa: TRY004  as pydantic wants it
    return value


def check_address(url: str, schemes: Sequence[str]) -> None:
    """Raises ValueError without the address: it may hold a password."""
    example = f"should be an address like {schemes[0]}://127.0.0.1:28462"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises where it is none
    except ValueError:
        raise ValueError(example) from None
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(example)


def check_http_address(url: str) -> str:
    check_address(url, ("http", "https"))
    return url


def check_nats_address(url: SecretStr) -> SecretStr:
    for server in url.get_secret_value().split(","):
        check_address(server.strip(), ("nats", "tls", "ws", "wss"))
    return url


def without_userinfo(url: str) -> str:
    """An address as it may be shown: without a user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda duration: f"{duration.total_seconds():g}s", return_type=str),
]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]
Names = Annotated[list[str], NoDecode, BeforeValidator(parse_list)]
Count = Annotated[int, BeforeValidator(refuse_boolean), Field(ge=1)]
Size = Annotated[ByteSize, BeforeValidator(refuse_boolean), Field(ge=1)]
Port = Annotated[int, BeforeValidator(refuse_boolean), Field(ge=0, le=65535)]
HttpAddress = Annotated[str, AfterValidator(check_http_address)]
NatsAddress = Annotated[SecretStr, AfterValidator(check_nats_address)]
