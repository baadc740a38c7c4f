"""One Settings class: environment variables DATACOSMOS_<NAME>, a .env file, or a TOML file given by --config.

A flag wins over the environment, that over .env, that over the file, that over the default.
"""

import difflib
import tomllib
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import ByteSize, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from datacosmos.errors import SettingsError
from datacosmos.setting_servers import DataServer, DataServers, to_json
from datacosmos.setting_types import (
    Count,
    Hosts,
    HttpAddress,
    MongoAddress,
    Names,
    NatsAddress,
    Networks,
    Origins,
    Port,
    PositiveDuration,
    Size,
)

PREFIX = "DATACOSMOS_"


class Settings(BaseSettings):
    """Every setting of every command."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    data_server_url: HttpAddress = Field(
        default="http://127.0.0.1:28462", description="The data server that is polled."
    )
    data_servers: DataServers = Field(
        default=(),
        description="Several data servers, as `[[data_servers]]` of --config, or a JSON list of objects: each has a "
        "`name` and `url`, and may have its own `series` (else its name), `timeout`, `poll_interval`, `poll_limit`, "
        "`poll_backoff_max`, `max_age` and `max_lead`. With it, DATA_SERVER_URL is polled only where it is given too.",
    )
    data_server_timeout: PositiveDuration = Field(
        default=timedelta(seconds=5), description="How long the data server may take for one whole answer."
    )
    poll_interval: PositiveDuration = Field(
        default=timedelta(seconds=1), description="The time from one poll to the next."
    )
    poll_limit: Count = Field(default=1000, description="Readings taken in one poll at the most.")
    poll_backoff_max: PositiveDuration = Field(
        default=timedelta(seconds=30), description="The longest pause between polls while the data server is down."
    )
    max_age: PositiveDuration = Field(
        default=timedelta(hours=1), description="A data server's point older than this at receipt is too_old."
    )
    max_lead: PositiveDuration | None = Field(
        default=None, description="A data server's point further in the future than this at receipt is suspect."
    )

    sensors_max_age: PositiveDuration | None = Field(
        default=None, description="A sensor's reading older than this at receipt is too_old; unset: none is."
    )
    sensors_max_bytes: Size = Field(default=ByteSize(4 << 20), description="The largest body of a push of readings.")
    sensors_max_readings: Count = Field(default=10_000, description="Readings that one push may hold.")

    mongodb_url: MongoAddress | None = Field(
        default=None, description="MongoDB (a replica set); unset: the embedded one."
    )
    mongodb_database: str = Field(
        default="datacosmos", pattern=r"^[A-Za-z0-9_-]{1,63}$", description="The database in MongoDB."
    )
    mongodb_timeout: PositiveDuration = Field(
        default=timedelta(seconds=5),
        description="How long MongoDB may take to be found or to answer before it counts as unavailable.",
    )
    oplog_max_bytes: Annotated[Size, Field(ge=990 << 20)] = Field(
        default=ByteSize(2 << 30),
        description="What the embedded MongoDB keeps of its latest writes, in bytes or like 2GiB: so far back the "
        "changes reach.",
    )
    discard_retention: PositiveDuration | None = Field(
        default=None, description="How long discards are kept after receipt; unset: for ever."
    )

    nats_url: NatsAddress | None = Field(
        default=None, description="NATS with JetStream, its servers comma-separated; unset: the embedded one."
    )
    nats_replicas: Annotated[Count, Field(le=5)] = Field(
        default=1, description="Servers of NATS that keep a copy of each reading on the queue."
    )
    nats_stream: str = Field(
        default="readings",
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The stream of readings; its dead letters go to <name>_dead.",
    )
    nats_timeout: PositiveDuration = Field(
        default=timedelta(seconds=5), description="How long NATS may take to confirm a publish."
    )
    queue_max_bytes: Annotated[Size, Field(ge=1 << 20)] = Field(
        default=ByteSize(1 << 30), description="What the queue may hold, in bytes or like 1GiB."
    )

    write_batch: Count = Field(default=500, description="Messages the writer takes from the queue at once.")
    write_workers: Count = Field(default=4, description="Batches that one writer has under way at once.")
    write_backoff_max: PositiveDuration = Field(
        default=timedelta(seconds=30),
        description="The longest pause between the writer's tries while MongoDB is unavailable.",
    )

    public_series: Names = Field(default=["datacosmos"], description="Series that anyone may read, comma-separated.")
    open_ingest: bool = Field(default=True, description="Whether anyone may push series and locations without a token.")
    max_points: Count = Field(default=100_000, description="Points that a plain list or one page may hold.")
    max_request_bytes: Size = Field(
        default=ByteSize(1 << 20), description="The largest request body, in bytes or like 1MiB."
    )
    upload_max_bytes: Size = Field(
        default=ByteSize(64 << 20),
        description="The largest body of a push of points, before and after it is unpacked.",
    )
    max_query_depth: Count = Field(default=12, description="How deep a GraphQL query may nest.")
    max_query_aliases: Count = Field(default=15, description="Aliases that a GraphQL query may use.")
    max_query_tokens: Count = Field(default=1000, description="Tokens that a GraphQL query may have.")
    max_query_length: Count = Field(default=50_000, description="Characters that a GraphQL query may have.")
    max_query_name_length: Count = Field(
        default=100, description="Characters that a name or an alias in a GraphQL query may have."
    )
    page: bool = Field(default=True, description="Whether browsers get the page at /, else the playground.")
    cors_origins: Origins = Field(
        default=[], description="Origins whose pages may call the API, comma-separated; * is any."
    )
    allowed_hosts: Hosts = Field(
        default=[],
        description="Host names by which the API may be asked, comma-separated, besides loopback and HOST; `*` is any, "
        "`*.example.org` any of them. Where HOST is 0.0.0.0 or ::, any IP address may be asked.",
    )

    # What one process may hold at once, and for how long: docs/bounds.md says what waits for what.
    max_connections: Count = Field(
        default=1000, description="Connections at once; never more than the limit of open files leaves room for."
    )
    max_connections_per_address: Count = Field(
        default=100, description="Connections at once from one address; loopback and PROXIES are exempt."
    )
    subscriptions: Count = Field(default=1000, description="Subscriptions to changes that are served at once.")
    subscriptions_per_connection: Count = Field(
        default=100, description="Subscriptions and queries at once on one WebSocket."
    )
    proxies: Networks = Field(
        default=[], description="Addresses and networks of proxies in front of this service, comma-separated."
    )
    head_max_bytes: Size = Field(default=ByteSize(64 << 10), description="The largest head of a request.")
    head_timeout: PositiveDuration = Field(
        default=timedelta(seconds=10), description="How long the head of a request may take to arrive."
    )
    idle_timeout: PositiveDuration = Field(
        default=timedelta(seconds=75), description="How long a connection may stay open between two requests."
    )
    body_min_rate: Size = Field(
        default=ByteSize(16 << 10),
        description="Bytes a second at which a body must arrive, in each span of HEAD_TIMEOUT.",
    )
    bodies_max_bytes: Size = Field(default=ByteSize(256 << 20), description="Bytes of request bodies held at once.")
    answer_max_bytes: Size = Field(default=ByteSize(256 << 20), description="The largest GraphQL answer.")
    spool_max_bytes: Size = Field(
        default=ByteSize(2 << 30),
        description="Bytes of answers that wait in the temporary folder; never more than half of what is free there.",
    )
    long_lists: Count = Field(default=4, description="Long lists that are read at once, and slow ones beside them.")
    exports: Count = Field(default=16, description="GET /points, /discards and /series/{id} that are answered at once.")
    calculation_max_points: Count = Field(
        default=4_000_000, description="Points that the Calculation service works on at once."
    )

    jwt_secret: SecretStr | None = Field(
        default=None,
        description="What tokens are signed with, 32 bytes or more; embedded: made in the data directory.",
    )
    data_dir: Path = Field(default=Path("data"), description="Where the embedded engines and their secrets are kept.")

    host: str = Field(default="127.0.0.1", min_length=1, description="The address the API listens on.")
    port: Port = Field(default=8000, description="The port the API listens on; 0 takes a free one.")
    api_workers: Count = Field(default=1, description="Processes of the API that share its port and its load.")
    health_port: Port | None = Field(
        default=None,
        description="Where ingest, write, and a serve with several API processes give their own /health and /metrics; "
        "unset: nowhere; 0 takes a free one.",
    )
    calculation_port: Port = Field(default=8001, description="The port the Calculation service listens on.")
    calculation_url: str = Field(
        default="http://127.0.0.1:8001",
        pattern=r"^https?://",
        description="Where the API finds the Calculation service.",
    )
    calculation_timeout: PositiveDuration = Field(
        default=timedelta(seconds=5), description="How long the Calculation service may take for an answer."
    )
    calculation_workers: Count = Field(
        default=1, description="Processes of the Calculation service that share its port and its load."
    )
    forecast_processes: Count = Field(default=2, description="Processes that each of these workers forecasts in.")
    forecast_max_points: Count = Field(
        default=300, description="The newest points that a forecast looks at; its time grows with them."
    )
    url: HttpAddress | None = Field(
        default=None,
        description="The running service that query, export, import, watch and replay talk to; unset: HOST and PORT.",
    )
    token: SecretStr | None = Field(
        default=None, description="The token that query, export, import, watch and replay show to it; unset: none."
    )
    stop_grace: PositiveDuration = Field(
        default=timedelta(seconds=15),
        description="How long a clean stop waits for the running poll and for open requests.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="How log lines look; auto is console on a terminal, else json."
    )


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings, secrets included; those not given are not given on."""
    variables: dict[str, str] = {}
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        match value:
            case None:
                continue
            case SecretStr():
                text = value.get_secret_value()
            case timedelta():
                text = f"{value / timedelta(milliseconds=1):f}ms"
            case tuple():
                text = to_json(cast("tuple[DataServer, ...]", value))
            case list():
                text = ",".join(cast("list[str]", value)) or ","  # an empty variable would be ignored
            case _:
                text = str(int(value) if isinstance(value, int) else value)
        variables[PREFIX + name.upper()] = text
    return variables


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """The settings in force; `flags` are those of the command line, None where not given.

    Raises SettingsError, a sentence for each wrong value, never with the value itself: it may be a secret.
    """
    file = read_config(config) if config else {}

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            *sources: PydanticBaseSettingsSource,
            **named: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return *sources, *named.values(), InitSettingsSource(settings_cls, file)

    try:
        return FromFile(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(fault) for fault in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env can't be read: {error}") from None


def log_format_of(config: Path | None) -> str | None:
    """What log lines should look like, where other settings are wrong; None where this one can't be read."""
    with suppress(SettingsError, ValidationError, OSError, UnicodeDecodeError):
        return _LogFormat().log_format or (read_config(config).get("log_format") if config else None)
    return None


class _LogFormat(BaseSettings):
    model_config = Settings.model_config
    log_format: str | None = None


def read_config(path: Path) -> dict[str, Any]:
    """The lines of a TOML file, each the lower-case name of a setting."""
    try:
        lines = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: the --config file can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is no TOML file: {error}") from None
    for name in lines.keys() - Settings.model_fields.keys():
        meant = difflib.get_close_matches(name, Settings.model_fields, n=1)
        raise SettingsError(
            f"{path}: there is no setting {name!r}" + (f"; did you mean {meant[0]!r}?" if meant else "")
        )
    return lines


def _sentence(fault: Any) -> str:
    name, *inner = fault["loc"]
    entry = f"entry {inner[0] + 1}: " if inner and isinstance(inner[0], int) else ""
    return f"{PREFIX}{name.upper()} (or {name} in --config): {entry}{fault['msg'].removeprefix('Value error, ')}"
