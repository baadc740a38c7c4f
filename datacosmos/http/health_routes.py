"""Whether the service can take and answer, and its metrics. Served by every process, also by those without an API."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from datacosmos import __version__
from datacosmos.errors import DatacosmosError
from datacosmos.http.head import Head
from datacosmos.http.health import PATIENCE, HealthCheck, Refresh, state_of
from datacosmos.http.middleware import Requests
from datacosmos.http.problems import handle_problems
from datacosmos.observability import exposition

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

STATUS = {"type": "string", "enum": ["ok", "degraded", "unavailable"]}
PART = {"type": "object", "properties": {"status": STATUS, "detail": {"type": "string"}}}
HEALTH = {
    "type": "object",
    "properties": {"status": STATUS, "parts": {"type": "object", "additionalProperties": PART}},
}


def create_health_app(*, health: Mapping[str, HealthCheck], refresh: Sequence[Refresh] = ()) -> FastAPI:
    """Health and metrics alone, for a process without an API."""
    app = FastAPI(title="DataCosmos", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_routes(health, refresh))
    handle_problems(app)
    app.add_middleware(Head)
    app.add_middleware(Requests)
    return app


def health_routes(health: Mapping[str, HealthCheck], refresh: Sequence[Refresh] = ()) -> APIRouter:
    """`refresh` brings gauges up to date before each scrape."""
    router = APIRouter(tags=["health"])
    needed = [name for name, check in health.items() if check.critical]

    async def answer(unavailable: Callable[[list[bool]], bool]) -> Response:
        """503 where `unavailable` says so of those parts that are needed: True stands for one that can't serve."""
        states = await asyncio.gather(*(state_of(name, check) for name, check in health.items()))
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


async def _refreshed(gauges: Refresh) -> None:
    """A scrape is answered with what is known, also while an engine is unavailable."""
    try:
        async with asyncio.timeout(PATIENCE):
            await gauges()
    except (TimeoutError, DatacosmosError) as error:
        log.debug("gauges not refreshed", error=str(error))
