"""The routes of /graphql, and the files of its playground."""

from functools import partial

from fastapi import APIRouter, Security
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from datacosmos.api.bearer import BEARER
from datacosmos.api.graphql.documented import ANSWERS, BODY, PARAMETERS
from datacosmos.api.graphql.http import PATH, PLAYGROUND, Endpoint

STATIC = "graphene_django_graphiql_static"  # a package that carries GraphiQL's files; its Django part is not used


def graphql_routes(endpoint: Endpoint) -> APIRouter:
    router = APIRouter(tags=["graphql"])
    add = partial(
        router.add_api_route,
        PATH,
        response_class=Response,
        responses=ANSWERS,
        dependencies=[Security(BEARER)],
    )
    add(endpoint.get, methods=["GET"], summary="A query in the URL", openapi_extra={"parameters": PARAMETERS})
    add(endpoint.post, methods=["POST"], summary="A query in the body", openapi_extra={"requestBody": BODY})
    router.add_api_websocket_route(PATH, endpoint.connect)
    others = ["DELETE", "OPTIONS", "PATCH", "PUT"]
    router.add_api_route(PATH, _refuse_method, methods=others, include_in_schema=False)
    files = StaticFiles(directory=PLAYGROUND, packages=[(STATIC, f"static/{STATIC}")])
    router.mount(f"{PATH}/static", files)
    return router


async def _refuse_method() -> None:
    """A route of its own, so that Allow names both of the others."""
    raise HTTPException(405, headers={"Allow": "GET, POST"})
