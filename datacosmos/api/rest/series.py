"""/series: whole series as people store them, read back, measured and forecast."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from datacosmos.api.lists.exports import Export, Exports
from datacosmos.api.media import CSV, JSON, negotiate
from datacosmos.api.rest import series_documented as documented
from datacosmos.api.rest.answers import Count, Page, SeriesDescription, Stored, respond
from datacosmos.api.rest.idempotency import key_header
from datacosmos.api.rest.pushes import Pushes
from datacosmos.api.rest.streams import as_csv, as_json
from datacosmos.api.times import Given, Span, read_span
from datacosmos.auth.permissions import AccessControl, Permissions, unknown_series
from datacosmos.calculation.client import ById, Calculation
from datacosmos.domain.series import EMPTY
from datacosmos.errors import StoreUnavailable
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.parameters import StrictRoute
from datacosmos.rounds import Rounds
from datacosmos.sources.digests import digest
from datacosmos.sources.uploads import NewSeries, parse_points, parse_repeatable, parse_series
from datacosmos.store.series.commits import Target
from datacosmos.store.series.creations import Repeatable
from datacosmos.store.series.roots import Series, Snapshot
from datacosmos.store.series.series import EVERYONE, Everyone, SeriesStore

MOST_LISTED, MOST_STEPS, MOST_LEVELS, LONGEST_SEASON = 1000, 1000, 10, 1_000_000

Id = Annotated[str, Path(alias="id", description="As answered when the series was stored.")]
Range = Annotated[Span, Depends(read_span)]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED, description="Series on a page.")]
After = Annotated[Given, Query(min_length=1, description="The id that the page begins after; none: from the first on.")]
Horizon = Annotated[int, Query(ge=1, le=MOST_STEPS, description="How many points ahead.")]
Level = Annotated[float, Query(gt=0, lt=100, allow_inf_nan=False)]
Levels = Annotated[list[Level], Query(max_length=MOST_LEVELS, description="Of the intervals, in percent; repeatable.")]
Key = Annotated[
    str | None,
    key_header("The same body sent again under the same key makes no second series, and is answered as at first."),
]
Season = Annotated[int, Query(ge=1, le=LONGEST_SEASON, description="Points after which things repeat; 1: they do not.")]


class SeriesRoutes:
    def __init__(
        self, store: SeriesStore, calculation: Calculation, access: AccessControl, pushes: Pushes, exports: Exports
    ) -> None:
        self._store, self._calculation, self._exports = store, calculation, exports
        self._access, self._pushes = access, pushes
        self._found = Rounds[Snapshot | None](StoreUnavailable)

    async def create(self, request: Request, idempotency_key: Key = None) -> Response:
        """Of points in any order, or of values a fixed interval apart."""
        permissions = self._access.identify_writer(request.headers)
        if idempotency_key:
            async with self._pushes.read(request, parse_repeatable) as (new, content):
                repeatable = Repeatable(digest(idempotency_key.encode()), content)
                series = await self._create(permissions, new, repeatable)
        else:
            async with self._pushes.read(request, parse_series) as new:
                series = await self._create(permissions, new)
        return respond(SeriesDescription.of(series), 201, {"Location": f"/series/{series.id}"})

    async def list(self, request: Request, limit: Limit = 100, after: After = None) -> Response:
        """The caller's; an administrator sees everybody's."""
        scope = _scope(self._access.identify(request.headers))
        found = await self._store.list(scope, limit=limit + 1, after=after)
        listed = found[:limit]
        further = urlencode({"limit": limit, "after": listed[-1].id}) if len(found) > limit else None
        return respond(Page([SeriesDescription.of(series) for series in listed], further and f"/series?{further}"))

    async def count(self, request: Request) -> Response:
        """Of the caller's; an administrator counts everybody's."""
        scope = _scope(self._access.identify(request.headers))
        return respond(Count(await self._store.count(scope)))

    async def read(self, request: Request, identifier: Id, span: Range) -> Response:
        """In time order, whole or a range of it. A transfer that fails in between is broken off."""
        snapshot = await self._seen(self._access.identify(request.headers), identifier)
        chunks = self._store.chunks(snapshot, *span)
        async with self._exports.begin(request) as end:
            first = await anext(chunks, EMPTY)  # a store that is unavailable is still a 503 here
            media_type = negotiate(request.headers.get("accept", ""), (JSON, CSV))
            written = as_csv() if media_type == CSV else as_json(SeriesDescription.of(snapshot))
            body = written.write(first, chunks)
            return Export(body, end, self._exports.pace, media_type=media_type or JSON, headers={"Vary": "Accept"})

    async def append(self, request: Request, identifier: Id) -> Response:
        """A time that has a value already keeps it; the answer counts both."""
        target = await self._owned(self._access.identify_writer(request.headers), identifier)
        async with self._pushes.read(request, parse_points) as samples:
            return respond(Stored(*await self._store.append(target, samples)))

    async def delete(self, request: Request, identifier: Id) -> Response:
        """At once, however long it is."""
        await self._owned(self._access.identify_writer(request.headers), identifier)
        if not await self._store.delete(identifier):
            raise unknown_series()
        return Response(status_code=204)

    async def metrics(self, request: Request, identifier: Id, span: Range) -> Response:
        """The standard deviation is the population's; percentiles interpolate linearly between the nearest ranks."""
        series = await self._seen(self._access.identify(request.headers), identifier)
        with until_client_leaves(request.scope, request.receive):
            return respond(await self._calculation.metrics(ById(series.id), *span))

    async def forecast(
        self,
        request: Request,
        identifier: Id,
        horizon: Horizon = 10,
        level: Levels = [95],  # noqa: B006 - FastAPI copies it
        season_length: Season = 1,
    ) -> Response:
        """By exponential smoothing (AutoETS) of the newest points, which must be evenly sampled."""
        series = await self._seen(self._access.identify(request.headers), identifier)
        with until_client_leaves(request.scope, request.receive):
            answer = await self._calculation.forecast(
                ById(series.id), horizon=horizon, levels=level, season_length=season_length
            )
        return respond(answer)

    async def _create(self, by: Permissions, new: NewSeries, request: Repeatable | None = None) -> Series:
        return await self._store.create(by.owner, new.name, new.unit, new.samples, request)

    async def _seen(self, permissions: Permissions, identifier: str) -> Snapshot:
        """Raises UnknownSeries, also where it is another's."""
        snapshot = await self._found.get(identifier, lambda: self._store.get(identifier))
        if snapshot is None:
            raise unknown_series()
        permissions.require_sight_of(snapshot.owner)
        return snapshot

    async def _owned(self, permissions: Permissions, identifier: str) -> Target:
        """Raises UnknownSeries, also where it is another's."""
        target = await self._store.target(identifier)
        if target is None:
            raise unknown_series()
        permissions.require_ownership(target.owner)
        return target


def _scope(permissions: Permissions) -> str | Everyone | None:
    """Whose series are listed and counted."""
    return EVERYONE if permissions.is_admin else permissions.owner


def series_routes(
    store: SeriesStore, calculation: Calculation, access: AccessControl, pushes: Pushes, exports: Exports
) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, tags=["series"])
    routes = SeriesRoutes(store, calculation, access, pushes, exports)
    for method, path, route in (
        ("POST", "/series", routes.create),
        ("GET", "/series", routes.list),
        ("GET", "/series/count", routes.count),  # before {id}, which would take it
        ("GET", "/series/{id}", routes.read),
        ("DELETE", "/series/{id}", routes.delete),
        ("POST", "/series/{id}/points", routes.append),
        ("GET", "/series/{id}/metrics", routes.metrics),
        ("GET", "/series/{id}/forecast", routes.forecast),
    ):
        router.add_api_route(path, route, methods=[method], **documented.ROUTES[route.__name__])
    return router
