"""Puts the API together."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from datacosmos import __version__
from datacosmos.api.access import Gate
from datacosmos.api.graphql.http import graphql_routes
from datacosmos.api.media import HTML, JSON, negotiate
from datacosmos.api.middleware import REQUEST_ID, Requests
from datacosmos.api.rest.health import HealthCheck, Refresh, health_routes
from datacosmos.api.rest.points import points_routes
from datacosmos.api.rest.problems import handle_problems
from datacosmos.settings import Settings
from datacosmos.store.points import Points

ABOUT = "Accepted points of the public series are open to anyone; other series and the discards need a token."
PLACES = {"graphql": "/graphql", "points": "/points", "docs": "/docs", "health": "/health", "metrics": "/metrics"}


def create_app(
    settings: Settings,
    *,
    points: Points,
    secret: str,
    health: Mapping[str, HealthCheck],
    refresh: Sequence[Refresh] = (),
) -> FastAPI:
    """The whole API. `health` names the parts to ask after; `refresh` updates gauges before a scrape."""
    gate = Gate(secret, frozenset(settings.public_series))
    app = FastAPIOffline(title="DataCosmos", version=__version__, description=ABOUT, redoc_url=None)
    app.add_api_route("/", _index, include_in_schema=False)
    app.include_router(graphql_routes(settings, points, gate))
    app.include_router(points_routes(points, gate))
    app.include_router(health_routes(health, refresh))
    handle_problems(app)
    app.add_middleware(Requests)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", REQUEST_ID],
            expose_headers=[REQUEST_ID],
        )
    return app


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
