"""The Calculation service as an application: its routes are for the API, and anyone may ask after its health."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Security
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic import Field
from starlette.responses import Response

from datacosmos import __version__
from datacosmos.auth.bearer import authenticate
from datacosmos.auth.issuers import Issuer, Role
from datacosmos.calculation.answers import Average, Forecast
from datacosmos.calculation.calculator import Calculator, Key
from datacosmos.calculation.forecast import Question
from datacosmos.domain.metrics import Metrics
from datacosmos.errors import Forbidden, InvalidRange
from datacosmos.http.head import Head
from datacosmos.http.health import HealthCheck
from datacosmos.http.health_routes import health_routes
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.middleware import Requests
from datacosmos.http.problems import InvalidParameters, described, handle_problems

ABOUT = "Averages, sums, metrics and forecasts of stored series. Only the API asks, with a token of the role service."
BEARER = HTTPBearer(auto_error=False, description="A token of the role service.")
MOST_STEPS, MOST_LEVELS = 1000, 10

Time = Annotated[
    int | None, Query(ge=-(2**63), lt=2**63, description="Microseconds since the epoch, inclusive; none: open.")
]
Level = Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]
Range = tuple[int | None, int | None]


def create_calculation_app(
    calculator: Calculator, *, issuers: Sequence[Issuer], health: Mapping[str, HealthCheck]
) -> FastAPI:
    """`issuers` make the tokens that are believed; `health` names the parts to ask after."""
    app = FastAPIOffline(title="DataCosmos Calculation", version=__version__, description=ABOUT, redoc_url=None)
    app.include_router(calculation_routes(calculator, issuers))
    app.include_router(health_routes(health))
    handle_problems(app)
    app.add_middleware(Head)
    app.add_middleware(Requests)
    return app


def calculation_routes(calculator: Calculator, issuers: Sequence[Issuer]) -> APIRouter:
    async def require_service(request: Request) -> None:
        caller = authenticate(request.headers.get("authorization", ""), issuers)
        if caller.role is not Role.SERVICE:
            raise Forbidden("this needs a token of the role service: ask the API instead")

    router = APIRouter(
        prefix="/calculations",
        tags=["calculations"],
        dependencies=[Security(BEARER), Depends(require_service)],
        responses=described(400, 401, 403, 404, 503),
    )

    @router.get("/average", summary="Average and sum of a range", response_model=Average)
    async def _average(
        request: Request, key: Annotated[Key, Depends(_key)], span: Annotated[Range, Depends(_range)]
    ) -> Response:
        return await _answer(request, calculator.average(key, *span))

    @router.get("/metrics", summary="Every metric of a range", response_model=Metrics)
    async def _metrics(
        request: Request, key: Annotated[Key, Depends(_key)], span: Annotated[Range, Depends(_range)]
    ) -> Response:
        return await _answer(request, calculator.metrics(key, *span))

    @router.get(
        "/forecast", summary="The points to come, with intervals", response_model=Forecast, responses=described(422)
    )
    async def _forecast(
        request: Request,
        key: Annotated[Key, Depends(_key)],
        horizon: Annotated[int, Query(ge=1, le=MOST_STEPS, description="How many points.")],
        level: Annotated[list[Level], Query(max_length=MOST_LEVELS, description="Of the intervals, in percent.")],
        season_length: Annotated[int, Query(ge=1, description="Points after which things repeat; 1: none.")] = 1,
    ) -> Response:
        question = Question(horizon, tuple(sorted(set(level))), season_length)
        return await _answer(request, calculator.forecast(key, question))

    return router


async def _key(
    id: Annotated[str | None, Query(description="The series' id; or else its owner and name.")] = None,  # noqa: A002
    owner: Annotated[str | None, Query(description="None: those without a token.")] = None,
    name: str | None = None,
) -> Key:
    if (id is None) == (name is None):
        raise InvalidParameters({"id": "give the series' id, or its name (with its owner)"})
    return Key(id, owner, name)


async def _range(start: Time = None, end: Time = None) -> Range:
    if start is not None and end is not None and start > end:
        raise InvalidRange(f"start ({start}) is after end ({end})")
    return start, end


async def _answer(request: Request, calculating: Awaitable[Average | Metrics | Forecast]) -> Response:
    """For as long as the API waits for it."""
    with until_client_leaves(request.scope, request.receive):
        return Response(orjson.dumps(await calculating), media_type="application/json")
