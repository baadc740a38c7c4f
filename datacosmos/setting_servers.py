"""The data servers that are polled, each with its own limits where it has some."""

import json
import re
from collections import Counter
from typing import Annotated, Any, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import NoDecode

from datacosmos.setting_types import Count, HttpAddress, PositiveDuration, without_userinfo

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("should be 1 to 64 letters, digits, _ or -")
    return name


class DataServer(BaseModel):
    """One entry of `data_servers`; what it does not give is as it is set for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(check_name)]
    url: HttpAddress
    series: str | None = Field(default=None, min_length=1, max_length=256)
    timeout: PositiveDuration | None = None
    poll_interval: PositiveDuration | None = None
    poll_limit: Count | None = None
    poll_backoff_max: PositiveDuration | None = None
    max_age: PositiveDuration | None = None
    max_lead: PositiveDuration | None = None

    def __str__(self) -> str:
        return f"{self.name} {without_userinfo(self.url)}"

    @model_validator(mode="wrap")
    @classmethod
    def _name_what_is_wrong(cls, value: Any, handler: ModelWrapValidatorHandler["DataServer"]) -> "DataServer":
        """As pydantic alone would tell the entry by its number only."""
        try:
            return handler(value)
        except ValidationError as error:
            raise ValueError(_name_of(value) + "; ".join(map(_sentence, error.errors(include_input=False)))) from None


def _sentence(fault: ErrorDetails) -> str:
    said = {
        "missing": "must be given",
        "extra_forbidden": f"is no field: there are {', '.join(DataServer.model_fields)}",
        "model_type": "should be an object with a name and a url",
    }.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    return " ".join(map(str, [*fault["loc"][:1], said]))


def _name_of(entry: object) -> str:
    name = cast("dict[object, object]", entry).get("name") if isinstance(entry, dict) else None
    return f"{name}: " if isinstance(name, str) and NAME.fullmatch(name) else ""


WANTED = 'should be a list like [{"name": "roof", "url": "http://127.0.0.1:28462"}]'


def parse_servers(value: object) -> object:
    """JSON text, as it stands in the environment, or a list as it is."""
    try:
        servers = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise ValueError(f"{WANTED}, in JSON") from None
    if not isinstance(servers, list | tuple):
        raise ValueError(WANTED)  # noqa: TRY004  as pydantic wants it
    return cast("list[object]", servers)


def check_names(servers: tuple[DataServer, ...]) -> tuple[DataServer, ...]:
    for name, count in Counter(server.name for server in servers).items():
        if count > 1:
            raise ValueError(f"{count} of them are called {name!r}: give each a name of its own")
    return servers


DataServers = Annotated[tuple[DataServer, ...], NoDecode, BeforeValidator(parse_servers), AfterValidator(check_names)]
_servers = TypeAdapter(tuple[DataServer, ...])


def to_json(servers: tuple[DataServer, ...]) -> str:
    return _servers.dump_json(servers, exclude_unset=True).decode()
