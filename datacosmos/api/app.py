"""Puts the API together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from datacosmos import __version__
from datacosmos.api.access import Gate
from datacosmos.api.graphql.http import PATH, Endpoint, graphql_routes
from datacosmos.api.intake import Intake
from datacosmos.api.media import HTML, JSON, negotiate
from datacosmos.api.rest.locations import locations_routes
from datacosmos.api.rest.named import named_routes
from datacosmos.api.rest.points import points_routes
from datacosmos.api.rest.pushes import Door
from datacosmos.api.rest.sensors import sensors_routes
from datacosmos.api.rest.series import series_routes
from datacosmos.calculation.client import Calculation
from datacosmos.http.health import HealthCheck, Refresh, health_routes
from datacosmos.http.middleware import REQUEST_ID, Requests
from datacosmos.http.problems import handle_problems
from datacosmos.http.shortcut import Shortcut
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores

ABOUT = "Accepted points of the public series are open to anyone; other series, discards and locations need a token."
# FastAPI would look for OpenTelemetry at each request; /metrics is what tells of them.
UNTRACED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
PLACES = {"graphql": "/graphql", "points": "/points", "docs": "/docs", "health": "/health", "metrics": "/metrics"}


def create_app(
    settings: Settings,
    *,
    stores: Stores,
    calculation: Calculation,
    intake: Intake,
    secret: str,
    health: Mapping[str, HealthCheck],
    refresh: Sequence[Refresh] = (),
) -> ASGIApp:
    """The whole API. `health` names the parts to ask after; `refresh` updates gauges before a scrape."""
    gate = Gate(secret, frozenset(settings.public_series))
    door = Door.of(settings, gate)
    app = FastAPIOffline(title="DataCosmos", version=__version__, description=ABOUT, redoc_url=None, telemetry=UNTRACED)
    app.add_api_route("/", _index, include_in_schema=False)
    graphql = Endpoint(settings, stores, gate, intake)
    app.include_router(graphql_routes(graphql))
    app.include_router(points_routes(stores.points, gate))
    app.include_router(locations_routes(stores.minutes, gate, open_to_all=settings.open_ingest))
    app.include_router(series_routes(stores.series, calculation, door))
    app.include_router(named_routes(stores.series, calculation, door))
    app.include_router(sensors_routes(settings, replace(door, max_bytes=settings.sensors_max_bytes), intake.publish))
    app.include_router(health_routes(health, refresh))
    handle_problems(app)
    app.add_middleware(Requests)
    whole = Shortcut(app, PATH, graphql.post, app.exception_handlers)
    if not settings.cors_origins:
        return whole
    return CORSMiddleware(
        whole,
        allow_origins=settings.cors_origins,
        allow_methods=["DELETE", "GET", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Encoding", "Content-Type", REQUEST_ID],
        expose_headers=["Location", REQUEST_ID],
    )


def create_health_app(*, health: Mapping[str, HealthCheck], refresh: Sequence[Refresh] = ()) -> FastAPI:
    """Health and metrics alone, for a process without an API."""
    app = FastAPI(title="DataCosmos", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_routes(health, refresh))
    handle_problems(app)
    app.add_middleware(Requests)
    return app


async def _index(request: Request) -> Response:
    if negotiate(request.headers.get("accept", ""), (JSON, HTML)) == HTML:
        return RedirectResponse(PLACES["graphql"])
    return JSONResponse(PLACES)
