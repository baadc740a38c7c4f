"""Puts the API together."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from datacosmos import __version__
from datacosmos.api.feed.feed import Feed
from datacosmos.api.feed.routes import changes_routes
from datacosmos.api.graphql.documented import ANSWER
from datacosmos.api.graphql.http import PATH, Endpoint, Refused, refuse
from datacosmos.api.graphql.routes import graphql_routes
from datacosmos.api.intake import Intake
from datacosmos.api.lists.exports import Exports
from datacosmos.api.media import HTML, JSON, VARY, negotiate
from datacosmos.api.rest.discards import discards_routes
from datacosmos.api.rest.locations import locations_routes
from datacosmos.api.rest.named import named_routes
from datacosmos.api.rest.points import points_routes
from datacosmos.api.rest.pushes import Pushes
from datacosmos.api.rest.readings import readings_routes
from datacosmos.api.rest.series import series_routes
from datacosmos.auth.issuers import Issuer
from datacosmos.auth.permissions import AccessControl
from datacosmos.calculation.client import Calculation
from datacosmos.http.guard import Guard, Policy
from datacosmos.http.head import Head
from datacosmos.http.health import HealthCheck, Refresh
from datacosmos.http.health_routes import health_routes
from datacosmos.http.middleware import REQUEST_ID, Requests
from datacosmos.http.packing import Packed
from datacosmos.http.parameters import StrictRoute
from datacosmos.http.problems import handle_problems, name_schemas, problem
from datacosmos.http.shortcut import Shortcut
from datacosmos.page import PREFIX, Files, front
from datacosmos.settings import Settings
from datacosmos.sources.registry import configured
from datacosmos.store.stores import Stores

ABOUT = "Accepted points of the public series are open to anyone; other series, discards and locations need a token."
# FastAPI would look for OpenTelemetry at each request; /metrics is what tells of them.
UNTRACED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
TAKEN = ["Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "Last-Event-ID"]  # headers
PLACES = {name: f"/{name}" for name in ("graphql", "points", "changes", "docs", "health", "metrics")}


def create_app(  # noqa: PLR0913 - all that an API needs
    settings: Settings,
    *,
    stores: Stores,
    calculation: Calculation,
    intake: Intake,
    issuers: Sequence[Issuer],
    feed: Feed,
    health: Mapping[str, HealthCheck],
    refresh: Sequence[Refresh] = (),
) -> ASGIApp:
    """The whole API. `issuers` make the tokens that are believed; whoever makes the `feed` stops it; `health` names the
    parts to ask after; `refresh` updates gauges before a scrape."""
    access = AccessControl.of(settings, issuers)
    pushes = Pushes(settings.upload_max_bytes)
    exports = Exports(settings.exports)
    graphql = Endpoint(settings, stores, access, intake, calculation, feed)
    pushed = [(source, source.pushed) for source in configured(settings) if source.pushed]
    routers = [
        graphql_routes(graphql),
        points_routes(stores, access, exports),
        discards_routes(stores.points, access, exports),
        changes_routes(feed, access),
        locations_routes(stores.minutes, access),
        series_routes(stores.series, calculation, access, pushes, exports),
        named_routes(stores.series, calculation, access, pushes),
        *(readings_routes(source, how, access, pushes.parsing, intake.publish) for source, how in pushed),
        health_routes(health, refresh),
    ]
    app = _documented(routers, _front if settings.page else _playground)
    if settings.page:
        app.mount(PREFIX, Files())
    name_schemas(app, GraphQLAnswer=ANSWER, **{how.record_name: how.record for _, how in pushed})
    return _guarded(Shortcut(app, PATH, graphql.usual), settings)


def _documented(routers: Sequence[APIRouter], index: Callable[[Request], Awaitable[Response]]) -> FastAPI:
    app = FastAPIOffline(
        title="DataCosmos",
        version=__version__,
        description=ABOUT,
        redoc_url=None,
        telemetry=UNTRACED,
        generate_unique_id_function=_operation_id,
    )
    app.router.route_class = StrictRoute
    app.add_api_route("/", index, include_in_schema=False)
    for router in routers:
        app.include_router(router)
    handle_problems(app)
    app.add_middleware(Head)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"))
    app.add_middleware(Requests)
    return app


def _guarded(app: ASGIApp, settings: Settings) -> ASGIApp:
    """For no other host than ours, and no page of another site but those that the settings name."""
    guarded = Guard(Packed(app), Policy(settings.allowed_hosts, settings.cors_origins, settings.host), _refuse)
    if not settings.cors_origins:
        return guarded
    return CORSMiddleware(
        guarded,
        allow_origins=settings.cors_origins,
        allow_methods=["DELETE", "GET", "HEAD", "POST", "PUT"],
        allow_headers=[*TAKEN, REQUEST_ID],
        expose_headers=["Accept-Encoding", "Allow", "Location", "Retry-After", "WWW-Authenticate", REQUEST_ID],
    )


def _operation_id(route: APIRoute) -> str:
    """What generated clients call it, such as list_series or push_sensors."""
    return "_".join([route.name.strip("_"), *map(str, route.tags)]).replace(" ", "_")


def _refuse(scope: Scope, status: int, detail: str) -> Response:
    """In the form that whoever asks at the path of the scope expects."""
    if scope["path"] == PATH:
        return refuse(Refused(status, detail, HTTPStatus(status).name), JSON)
    return problem(status, detail)


async def _front(request: Request) -> Response:
    return front() if _is_browser(request) else JSONResponse(PLACES, headers=VARY)


async def _playground(request: Request) -> Response:
    if _is_browser(request):
        return RedirectResponse(PLACES["graphql"], headers=VARY)
    return JSONResponse(PLACES, headers=VARY)


def _is_browser(request: Request) -> bool:
    return negotiate(request.headers.get("accept", ""), (JSON, HTML)) == HTML
