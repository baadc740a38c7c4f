"""/series: whole series as people store them, read back, measured and forecast."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from datacosmos.api.media import JSON, negotiate
from datacosmos.api.rest import series_documented as documented
from datacosmos.api.rest.answers import Count, Page, Stored, Told, respond
from datacosmos.api.rest.pushes import Asker, Door, unknown_series
from datacosmos.api.rest.streams import CSV, as_csv, as_json
from datacosmos.api.times import Span, read_span
from datacosmos.calculation.client import ById, Calculation
from datacosmos.domain.series import EMPTY
from datacosmos.sources.uploads import parse_points, parse_series
from datacosmos.store.roots import Snapshot
from datacosmos.store.series import SeriesStore

MOST_LISTED, MOST_STEPS, MOST_LEVELS = 1000, 1000, 10

Id = Annotated[str, Path(alias="id", description="As answered when the series was stored.")]
Range = Annotated[Span, Depends(read_span)]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED, description="Series on a page.")]
After = Annotated[str, Query(description="The id that the page begins after; none: from the first on.")]
Horizon = Annotated[int, Query(ge=1, le=MOST_STEPS, description="How many points ahead.")]
Level = Annotated[float, Query(gt=0, lt=100, allow_inf_nan=False)]
Levels = Annotated[list[Level], Query(max_length=MOST_LEVELS, description="Of the intervals, in percent; repeatable.")]
Season = Annotated[int, Query(ge=1, description="Points after which things repeat; 1: they do not.")]


class SeriesRoutes:
    def __init__(self, store: SeriesStore, calculation: Calculation, door: Door) -> None:
        self._store, self._calculation, self._door = store, calculation, door

    async def create(self, request: Request) -> Response:
        """Of points in any order, or of values a fixed interval apart."""
        asker = self._door.writer(request)
        new = await self._door.read(request, parse_series)
        series = await self._store.create(asker.owner, new.name, new.unit, new.samples)
        return respond(Told.of(series), 201, {"Location": f"/series/{series.id}"})

    async def list(self, request: Request, limit: Limit = 100, after: After = "") -> Response:
        """The caller's; an administrator sees everybody's."""
        scope = self._door.reader(request).scope
        found = await self._store.list(scope, limit=limit + 1, after=after or None)
        listed = found[:limit]
        further = urlencode({"limit": limit, "after": listed[-1].id}) if len(found) > limit else None
        return respond(Page([Told.of(series) for series in listed], further and f"/series?{further}"))

    async def count(self, request: Request) -> Response:
        """Of the caller's; an administrator counts everybody's."""
        return respond(Count(await self._store.count(self._door.reader(request).scope)))

    async def read(self, request: Request, identifier: Id, span: Range) -> Response:
        """In time order, whole or a range of it. A transfer that fails in between is broken off."""
        snapshot = await self._seen(self._door.reader(request), identifier)
        chunks = self._store.chunks(snapshot, *span)
        first = await anext(chunks, EMPTY)  # a store that is away is still a 503 here
        media_type = negotiate(request.headers.get("accept", ""), (JSON, CSV))
        body = as_csv(chunks, first) if media_type == CSV else as_json(Told.of(snapshot), chunks, first)
        return StreamingResponse(body, media_type=media_type or JSON, headers={"Vary": "Accept"})

    async def append(self, request: Request, identifier: Id) -> Response:
        """A time that has a value already keeps it; the answer counts both."""
        series = await self._owned(self._door.writer(request), identifier)
        samples = await self._door.read(request, parse_points)
        return respond(Stored(*await self._store.append(series, samples)))

    async def delete(self, request: Request, identifier: Id) -> Response:
        """At once, however long it is."""
        series = await self._owned(self._door.writer(request), identifier)
        if not await self._store.delete(series.id):
            raise unknown_series()
        return Response(status_code=204)

    async def metrics(self, request: Request, identifier: Id, span: Range) -> Response:
        """The standard deviation is the population's; percentiles interpolate linearly between the nearest ranks."""
        series = await self._seen(self._door.reader(request), identifier)
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
        series = await self._seen(self._door.reader(request), identifier)
        answer = await self._calculation.forecast(
            ById(series.id), horizon=horizon, levels=level, season_length=season_length
        )
        return respond(answer)

    async def _seen(self, asker: Asker, identifier: str) -> Snapshot:
        """Raises UnknownSeries, also where it is another's."""
        snapshot = await self._store.get(identifier)
        if snapshot is None:
            raise unknown_series()
        asker.require_sight(snapshot)
        return snapshot

    async def _owned(self, asker: Asker, identifier: str) -> Snapshot:
        snapshot = await self._seen(asker, identifier)
        asker.require_ownership(snapshot)
        return snapshot


def series_routes(store: SeriesStore, calculation: Calculation, door: Door) -> APIRouter:
    router = APIRouter(tags=["series"])
    routes = SeriesRoutes(store, calculation, door)
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
