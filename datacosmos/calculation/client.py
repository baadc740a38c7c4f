"""The API's end of the wire to the Calculation service."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

import httpx
import msgspec
import structlog

from datacosmos.auth.issuers import Role, SharedSecret
from datacosmos.calculation.answers import Average, Forecast
from datacosmos.calculation.replicas import Replicas
from datacosmos.domain.metrics import Metrics
from datacosmos.errors import CalculationUnavailable, CannotForecast, DatacosmosError, QueryError, UnknownSeries
from datacosmos.rounds import Rounds

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")

CONNECT_PATIENCE, PING_PATIENCE = 1.0, 0.8  # seconds; a ping may have to ask a second replica
TOKEN_LIFETIME = timedelta(seconds=60)
# Below the server's five seconds, so that it never closes a connection just as we send on it.
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=2.0)
LATER = "; try again later"  # which the API says itself
ERRORS: dict[int, type[DatacosmosError]] = {400: QueryError, 404: UnknownSeries, 422: CannotForecast}
Parameters = dict[str, str | int | float | Sequence[float]]


@dataclass(frozen=True, slots=True)
class ById:
    """A series by its id; whether the caller may read it is for us to know, not for the service."""

    id: str


@dataclass(frozen=True, slots=True)
class ByName:
    """A series by its owner's name for it; the owner None is those without a token."""

    owner: str | None
    name: str


class _Problem(msgspec.Struct):
    detail: str = ""


class Calculation:
    """Asks the service, with a token of our own and the id of the request that is being answered.

    Questions that are equal are asked one after the other, each for all who ask it meanwhile.
    Ranges are in microseconds since the epoch, both ends inclusive, each open where None. Every method raises
    UnknownSeries, QueryError where start is after end, and CalculationUnavailable.
    """

    def __init__(self, client: httpx.AsyncClient, issuer: SharedSecret) -> None:
        self._client, self._issuer = client, issuer
        self._rounds = Rounds[httpx.Response]()

    async def average(self, series: ById | ByName, start: int | None = None, end: int | None = None) -> Average:
        return await self._get("average", series, Average, start=start, end=end)

    async def metrics(self, series: ById | ByName, start: int | None = None, end: int | None = None) -> Metrics:
        return await self._get("metrics", series, Metrics, start=start, end=end)

    async def forecast(
        self, series: ById | ByName, *, horizon: int, levels: Sequence[float], season_length: int = 1
    ) -> Forecast:
        """1 to 1000 steps, with intervals of up to 10 levels, in percent. Raises CannotForecast, saying why."""
        return await self._get("forecast", series, Forecast, horizon=horizon, level=levels, season_length=season_length)

    async def ping(self) -> None:
        """Raises CalculationUnavailable unless the service can answer, and soon."""
        await self._send("/health", {}, {}, timeout=PING_PATIENCE)

    async def _get(
        self, what: str, series: ById | ByName, answer: type[T], **parameters: int | Sequence[float] | None
    ) -> T:
        key = {"id": series.id} if isinstance(series, ById) else {"owner": series.owner, "name": series.name}
        given: Parameters = {name: value for name, value in (key | parameters).items() if value is not None}
        question = what, msgspec.json.encode(given)
        response = await self._rounds.get(question, lambda: self._ask(f"/calculations/{what}", given))
        return msgspec.json.decode(response.content, type=answer)

    async def _ask(self, path: str, given: Parameters) -> httpx.Response:
        now = datetime.now(UTC)
        token = self._issuer.issue(role=Role.SERVICE, subject="api", lifetime=TOKEN_LIFETIME, now=now)
        return await self._send(path, given, {"Authorization": f"Bearer {token}"})

    async def _send(
        self, path: str, parameters: Parameters, headers: dict[str, str], timeout: float | None = None
    ) -> httpx.Response:
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id is not None:
            headers = headers | {"X-Request-ID": request_id}
        try:
            async with asyncio.timeout(timeout):
                response = await self._client.get(path, params=parameters, headers=headers)
        except (httpx.TimeoutException, TimeoutError):
            raise CalculationUnavailable("the Calculation service did not answer in time") from None
        except httpx.TransportError as error:
            raise CalculationUnavailable("the Calculation service can't be reached, or broke off its answer") from error
        if response.status_code != HTTPStatus.OK:
            raise _error(response)
        return response


def _error(response: httpx.Response) -> DatacosmosError:
    status = response.status_code
    if status in ERRORS:
        return ERRORS[status](_detail(response))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return CalculationUnavailable(f"the Calculation service answered {status}: {_detail(response)}")
    log.warning("the Calculation service failed", status=status, answer=response.text[:500])
    if status in {401, 403}:
        return CalculationUnavailable(
            "the Calculation service refused our token: do both have one DATACOSMOS_JWT_SECRET?"
        )
    return CalculationUnavailable(f"the Calculation service answered {status}")


def _detail(response: httpx.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=_Problem).detail.removesuffix(LATER)
    except msgspec.DecodeError:  # a proxy's
        return "it gives no reason"


@asynccontextmanager
async def connect(url: str, *, issuer: SharedSecret, timeout: timedelta) -> AsyncGenerator[Calculation]:
    """Pooled connections to the service; nothing is sent before it is asked.

    Where its name has several addresses, another is asked when one fails or hangs; else only a failed connect is tried
    again.
    """
    seconds = timeout.total_seconds()
    patience = httpx.Timeout(seconds, connect=min(seconds, CONNECT_PATIENCE))
    transport = Replicas(*(httpx.AsyncHTTPTransport(retries=1, limits=LIMITS) for _ in range(2)))
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=patience, trust_env=False) as client:
        yield Calculation(client, issuer)
