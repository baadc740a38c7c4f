"""The kinds of values that settings have, and what is said of a wrong one: never the value, it may be a secret."""

import re
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, PlainSerializer, SecretStr
from pydantic_settings import NoDecode

# One server or several; what else is wrong, the driver tells.
MONGODB = re.compile(r"mongodb(\+srv)?://([^/?#@\s]*@)?[^/?#@,\s]+(,[^/?#@,\s]+)*(/\S*)?(\?\S*)?")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+", re.IGNORECASE)
HOST = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
UNITS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
NATS_WANTED = (
    "should be comma-separated addresses like nats://USER:PASSWORD@127.0.0.1:4222, "
    "with % written as %25, a comma as %2C, / as %2F and @ as %40 in the user and password"
)
BLANK = re.compile(r"\s")
NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class NatsServers(NamedTuple):
    """The servers' addresses, without what is secret, and the one user and password, or token, for all of them."""

    addresses: list[str]
    user: str | None = None
    password: str | None = None
    token: str | None = None


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
    """Comma-separated names, or a list as it is."""
    if isinstance(value, str):
        return [name for part in value.split(",") if (name := part.strip())]
    return value


def refuse_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("should be a number")  # noqa: TRY004  as pydantic wants it
    return value


def check_address(url: str, schemes: Sequence[str], wanted: str) -> None:
    """Raises ValueError without the address: it may hold a password."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises where it is none
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in schemes or not parts.hostname or BLANK.search(parts.netloc):
        raise ValueError(wanted)


def check_http_address(url: str) -> str:
    check_address(url, ("http", "https"), "should be an address like http://127.0.0.1:28462")
    return url


def check_nats_address(url: SecretStr) -> SecretStr:
    parse_nats_servers(url.get_secret_value())
    return url


def parse_nats_servers(text: str) -> NatsServers:
    """Comma-separated addresses. Raises ValueError without any of them: they may hold a password."""
    servers = [server.strip() for server in text.split(",")]
    for server in servers:
        check_address(server, ("nats", "tls"), NATS_WANTED)
    parts = [urlsplit(server) for server in servers]
    known = {_credentials(server) for server in parts} - {(None, None, None)}
    if len(known) > 1:
        raise ValueError("should have one user and password, or token, for all its servers")
    addresses = [server._replace(netloc=server.netloc.rpartition("@")[2]).geturl() for server in parts]
    return NatsServers(addresses, *(known.pop() if known else ()))


def _credentials(server: SplitResult) -> tuple[str | None, str | None, str | None]:
    """User, password and token; a user alone is a token."""
    if NO_ESCAPE.search(server.netloc):
        raise ValueError(NATS_WANTED)
    user, password = (None if text is None else unquote(text) for text in (server.username, server.password))
    return (None, None, user or None) if password is None else (user, password, None)


def check_mongodb_address(url: SecretStr) -> SecretStr:
    if not MONGODB.fullmatch(url.get_secret_value()):
        raise ValueError("should be an address like mongodb://127.0.0.1:27017")
    return url


def check_origins(origins: list[str]) -> list[str]:
    """The origins as browsers name them."""
    if not all(origin == "*" or ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("should be origins like https://example.org, with their scheme and without a path, or *")
    return [_as_sent(origin.lower()) for origin in origins]


def _as_sent(origin: str) -> str:
    return origin.removesuffix(DEFAULT_PORTS.get(origin.partition("://")[0], ""))


def check_hosts(hosts: list[str]) -> list[str]:
    """The hosts as a Host names them, without brackets."""
    return [_check_host(host.lower()) for host in hosts]


def _check_host(host: str) -> str:
    address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ip_address(address)
    except ValueError:
        if HOST.fullmatch(host):
            return host.removesuffix(".")
        raise ValueError(
            "should be host names like data.example.org, without scheme and port, *.example.org, or *"
        ) from None
    return address


def check_networks(networks: list[str]) -> list[str]:
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            raise ValueError("should be addresses or networks like 10.0.0.7, 10.0.0.0/8 or fd00::/8") from None
    return networks


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
Hosts = Annotated[Names, AfterValidator(check_hosts)]
Networks = Annotated[Names, AfterValidator(check_networks)]
Count = Annotated[int, BeforeValidator(refuse_boolean), Field(ge=1)]
Size = Annotated[ByteSize, BeforeValidator(refuse_boolean), Field(ge=1)]
Port = Annotated[int, BeforeValidator(refuse_boolean), Field(ge=0, le=65535)]
HttpAddress = Annotated[str, AfterValidator(check_http_address)]
MongoAddress = Annotated[SecretStr, AfterValidator(check_mongodb_address)]
Origins = Annotated[Names, AfterValidator(check_origins)]
NatsAddress = Annotated[SecretStr, AfterValidator(check_nats_address)]
