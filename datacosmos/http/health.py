"""Whether the service can take and answer, and its metrics. Served by every process, also by those without an API."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import structlog
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from datacosmos.errors import DatacosmosError
from datacosmos.observability import exposition

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATIENCE = 2.0  # seconds
STATUS = {"type": "string", "enum": ["ok", "degraded", "unavailable"]}
PART = {"type": "object", "properties": {"status": STATUS, "detail": {"type": "string"}}}
HEALTH = {
    "type": "object",
    "properties": {"status": STATUS, "parts": {"type": "object", "additionalProperties": PART}},
}


class Degraded(Exception):
    """What a check raises of a part that serves, but not as it should: reported, but never a reason to answer 503."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One part's check: `ask` says its state in a few words, and raises a DatacosmosError while it can't serve.

    A part that is not critical is reported, but is no reason to answer 503.
    """

    ask: Callable[[], Awaitable[str]]
    critical: bool = True


@dataclass(frozen=True, slots=True)
class PartState:
    status: Literal["ok", "degraded", "unavailable"]
    detail: str


Refresh = Callable[[], Awaitable[None]]


def health_routes(health: Mapping[str, HealthCheck], refresh: Sequence[Refresh] = ()) -> APIRouter:
    """`refresh` brings gauges up to date before each scrape."""
    router = APIRouter(tags=["health"])
    needed = [name for name, check in health.items() if check.critical]

    async def answer(unavailable: Callable[[list[bool]], bool]) -> Response:
        """503 where `unavailable` says so of those parts that are needed: True stands for one that can't serve."""
        states = await asyncio.gather(*(_check(name, check) for name, check in health.items()))
        parts = dict(zip(health, states, strict=True))
        down = [parts[name].status == "unavailable" for name in needed]
        degraded = any(state.status == "degraded" for state in states)
        body = {"status": "unavailable" if any(down) else "degraded" if degraded else "ok", "parts": parts}
        return Response(orjson.dumps(body), 503 if unavailable(down) else 200, media_type="application/json")

    all_of_it = _documented("Can take and answer", "What it can't do without is unavailable")

    @router.get("/health", summary="Each part's state", response_class=Response, responses=all_of_it)
    async def _health() -> Response:
        return await answer(any)

    any_of_it = _documented("Can take or answer something", "All that it can't do without is unavailable")

    @router.get("/health/ready", summary="Whether it can serve anything", response_class=Response, responses=any_of_it)
    async def _ready() -> Response:
        """For balancers: while the queue is unavailable, questions are still answered."""
        return await answer(lambda down: bool(down) and all(down))

    @router.get("/health/live", summary="Whether the process answers at all", response_class=Response)
    async def _live() -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def _metrics() -> Response:
        await asyncio.gather(*(_refreshed(gauges) for gauges in refresh))
        return Response(exposition(), media_type=CONTENT_TYPE_LATEST)

    return router


def _documented(well: str, unwell: str) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": HEALTH}}
    return {200: {"description": well, "content": content}, 503: {"description": unwell, "content": content}}


async def _check(name: str, check: HealthCheck) -> PartState:
    try:
        async with asyncio.timeout(PATIENCE):
            return PartState("ok", await check.ask())
    except Degraded as error:
        return PartState("degraded", str(error))
    except TimeoutError:
        return PartState("unavailable", f"no answer within {PATIENCE:g} s")
    except DatacosmosError as error:
        return PartState("unavailable", str(error))
    except Exception:
        log.exception("health check failed", part=name)
        return PartState("unavailable", "the check itself failed; see the log")


async def _refreshed(gauges: Refresh) -> None:
    """A scrape is answered with what is known, also while an engine is unavailable."""
    try:
        async with asyncio.timeout(PATIENCE):
            await gauges()
    except (TimeoutError, DatacosmosError) as error:
        log.debug("gauges not refreshed", error=str(error))
