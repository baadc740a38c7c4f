"""A running service, as the commands talk to it: where it is, as whom, and one line for whatever goes wrong."""

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click
from pydantic import SecretStr

from datacosmos.cli.with_settings import with_settings
from datacosmos.errors import LONGEST, ServiceError, SettingsError, shorten
from datacosmos.setting_types import check_http_address, without_userinfo
from datacosmos.settings import Settings

if TYPE_CHECKING:
    import httpx

PATIENCE = 60.0  # seconds between two pieces of an answer
PROBLEM = "application/problem+json"
HINTS = {
    401: "; give a token that holds, by DATACOSMOS_TOKEN or --token-file",
    403: "; give the token of somebody who may, by DATACOSMOS_TOKEN or --token-file",
}
PASSING = frozenset({408, 429})
"""Statuses below 500 after which the same may be asked again."""
P = ParamSpec("P")
R = TypeVar("R")


class NotNow(ServiceError):
    """The same may be asked again."""


@dataclass(frozen=True, slots=True)
class Service:
    url: str
    token: SecretStr | None = None

    @property
    def shown(self) -> str:
        return without_userinfo(self.url)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}

    @asynccontextmanager
    async def client(self) -> AsyncGenerator["httpx.AsyncClient"]:
        """Raises ServiceError for whatever its requests raise."""
        import httpx

        with self.answering():
            async with httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=PATIENCE) as client:
                yield client

    @contextmanager
    def answering(self) -> Generator[None]:
        """Raises NotNow where no answer comes, or not all of it."""
        import httpx

        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout):
            hint = "start it, or name another address by --url or DATACOSMOS_URL"
            raise NotNow(f"no service can be reached at {self.shown}: {hint}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise NotNow(f"the service at {self.shown} gave no whole answer ({type(error).__name__})") from None

    def refusal(self, answer: "httpx.Response") -> ServiceError:
        """Of an answer that has been read."""
        status = answer.status_code
        detail = _detail(answer)
        said = f"the service at {self.shown} answered {status}" + (f": {detail}" if detail else "")
        kind = NotNow if status >= 500 or status in PASSING else ServiceError
        return kind(said + HINTS.get(status, ""))


def with_service(command: Callable[Concatenate[Service, P], R]) -> Callable[..., R]:
    """Adds --url and --token-file to what `with_settings` adds, and hands the command the service that they name."""

    @click.option("--url", "address", help="The service's address.", show_default="DATACOSMOS_URL, or HOST and PORT")
    @click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file that holds a token.",
        show_default="DATACOSMOS_TOKEN",
    )
    @with_settings
    @wraps(command)
    def run(settings: Settings, *args: Any, address: str | None, token_file: Path | None, **given: Any) -> R:
        token = read_token(token_file) if token_file else settings.token
        return command(Service(service_url(settings, address), _checked(token)), *args, **given)

    return run


def service_url(settings: Settings, address: str | None) -> str:
    """The address as given; else as the settings have it, or as a service with these settings is found from here."""
    if address is not None:
        try:
            return check_http_address(address)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--url") from None
    if settings.url is not None:
        return settings.url
    if settings.port == 0:
        raise click.BadParameter("must be given, as the configured port is any free one", param_hint="--url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def read_token(file: Path) -> SecretStr:
    try:
        return SecretStr(file.read_text("ascii").strip())
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{file}: no token can be read from it") from None


def one_line(text: object) -> str:
    """What a service said, as a terminal may show it."""
    words = " ".join(str(text).split())
    return shorten("".join(letter if letter.isprintable() else "?" for letter in words), LONGEST)


def on_terminal() -> bool:
    """Whether somebody sees the progress."""
    return sys.stderr.isatty()


def _checked(token: SecretStr | None) -> SecretStr | None:
    """Raises SettingsError, without the token, where no header could hold it."""
    text = token.get_secret_value() if token else "none"
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError("what DATACOSMOS_TOKEN or --token-file holds is no token: put in what `token` prints")
    return token


def is_problem(answer: "httpx.Response") -> bool:
    return answer.headers.get("content-type") == PROBLEM


def _detail(answer: "httpx.Response") -> str:
    try:
        return one_line(answer.json()["detail"]) if is_problem(answer) else ""
    except (ValueError, TypeError, LookupError):
        return ""
