"""/api: data points by the name of their series, in chunks of any size and order."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from datacosmos.api.rest.answers import AverageAndSum, Stored, respond
from datacosmos.api.rest.pushes import Pushes
from datacosmos.api.rest.series_documented import ROUTES
from datacosmos.api.times import Span, read_span
from datacosmos.auth.permissions import AccessControl
from datacosmos.calculation.client import ByName, Calculation
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.parameters import StrictRoute
from datacosmos.sources.uploads import parse_named
from datacosmos.store.series.series import SeriesStore

Name = Annotated[str, Path(description="One of the caller's own; it may hold slashes.", examples=["mast"])]
Range = Annotated[Span, Depends(read_span)]


def named_routes(store: SeriesStore, calculation: Calculation, access: AccessControl, pushes: Pushes) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, prefix="/api", tags=["named points"])

    @router.post("", **ROUTES["push"])
    async def _push(request: Request) -> Response:
        """All or nothing. A time that has a value already keeps it, so a request may be repeated at will."""
        owner = access.identify_writer(request.headers).owner
        async with pushes.read(request, parse_named) as points:
            return respond(Stored(*await store.append_many(owner, points)), 201)

    @router.get("/{name:path}", **ROUTES["average"])
    async def _average(request: Request, name: Name, span: Range) -> Response:
        owner = access.identify(request.headers).owner
        with until_client_leaves(request.scope, request.receive):
            average = await calculation.average(ByName(owner, name), *span)
        return respond(AverageAndSum(average.avg, average.sum))

    return router
