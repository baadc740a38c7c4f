"""GraphQL over HTTP, after https://graphql.github.io/graphql-over-http/draft/ (GET and POST, no batches)."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import orjson
from fastapi import APIRouter, Security
from graphql import GraphQLError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from datacosmos.api.bearer import BEARER
from datacosmos.api.graphql.context import Context
from datacosmos.api.graphql.documented import ANSWERS, BODY, PARAMETERS
from datacosmos.api.graphql.errors import present_error
from datacosmos.api.graphql.fast import dump
from datacosmos.api.graphql.schema import create_schema
from datacosmos.api.intake import Intake
from datacosmos.api.lists.answers import LongAnswer, join
from datacosmos.api.lists.spool import Spool, Spools
from datacosmos.api.lists.turns import EncodingTurns
from datacosmos.api.media import GRAPHQL, HTML, JSON, negotiate
from datacosmos.auth.permissions import AccessControl
from datacosmos.calculation.client import Calculation
from datacosmos.errors import Unavailable, shorten
from datacosmos.http.bodies import BodyTooLarge, BodyTooSlow, BrokenBody, UnknownEncoding, read_unpacked
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.pace import Pace
from datacosmos.http.parameters import find_faults
from datacosmos.http.problems import RETRY_AFTER
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores

PATH = "/graphql"
PLAYGROUND = Path(__file__).parent / "playground"
STATIC = "graphene_django_graphiql_static"  # a package that carries GraphiQL's files; its Django part is not used
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PARAMETER_NAMES = [parameter["name"] for parameter in PARAMETERS]
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Vary": "Accept"}


class Ask(msgspec.Struct, rename="camel"):
    """What a client sends; unknown fields are ignored, as the specification wants."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


@dataclass
class Refused(Exception):
    """A request that holds no GraphQL to execute."""

    status: int
    message: str
    code: str = "BAD_REQUEST"
    headers: Mapping[str, str] | None = None


# In the words by which clients know to send the text, and with the status at which all of them look for words.
NO_HASHES = Refused(200, "PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED", {"Cache-Control": "no-store"})


class Endpoint:
    """Reads a request, has it executed, and says how it went."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        access: AccessControl,
        intake: Intake,
        calculation: Calculation,
        *,
        fast: bool = True,
    ) -> None:
        self._schema = create_schema(settings, fast=fast)
        self._turns = EncodingTurns()
        self._spools = Spools(settings.answer_max_bytes, settings.spool_max_bytes)
        self._pace = Pace("slow_answers", "answer")
        self._settings = settings
        self._stores = stores
        self._access = access
        self._intake, self._calculation = intake, calculation

    async def get(self, request: Request) -> Response:
        """Executes the query of the URL; a browser gets the playground."""
        if _media_type(request, JSON, HTML) == HTML:
            return FileResponse(PLAYGROUND / "index.html", headers=PAGE_HEADERS)
        return await self._answer(request)

    async def post(self, request: Request) -> Response:
        """Executes the query of the body."""
        return await self._answer(request)

    async def _answer(self, request: Request) -> Response:
        media_type = _media_type(request, JSON)
        if media_type is None:
            return refuse(Refused(406, f"the answer is {GRAPHQL} or {JSON}, and Accept takes neither"), JSON)
        with ExitStack() as resources:
            spool = resources.enter_context(closing(self._spools.open()))
            try:
                result = await self._execute(request, await self._read(request), spool)
            except Refused as refused:
                return refuse(refused, media_type)
            request.state.failed = bool(result.errors)
            body = _present(result, request.state.request_id)
            status = 400 if "data" not in body and media_type == GRAPHQL else 200
            headers = _headers(media_type) | (RETRY_AFTER if _is_unavailable(result) else {})
            pieces = dump(body)
            if (whole := join(pieces)) is not None:
                return Response(whole, status, headers)
            resources.pop_all()
            return LongAnswer(pieces, spool, self._pace, status, headers)

    async def _read(self, request: Request) -> Ask:
        parameters = PARAMETER_NAMES if request.method == "GET" else ()
        if faults := find_faults(request.scope, parameters, allow_empty=True):
            raise Refused(400, "; ".join(f"{name}: {fault}" for name, fault in faults.items()))
        if request.method == "GET":
            return _read_url(request)
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
            raise Refused(415, f"Content-Type must be {JSON}")
        try:
            return _decode(await read_unpacked(request, self._settings.max_request_bytes))
        except BodyTooLarge as error:
            raise Refused(413, str(error), "REQUEST_TOO_LARGE") from None
        except UnknownEncoding as error:
            raise Refused(415, str(error), headers={"Accept-Encoding": "gzip"}) from None
        except BrokenBody as error:
            raise Refused(400, str(error)) from None
        except BodyTooSlow as error:
            raise Refused(408, str(error), "REQUEST_TOO_SLOW") from None
        except Unavailable as error:
            raise Refused(503, f"{error}; try again later", "UNAVAILABLE", RETRY_AFTER) from None

    async def _execute(self, request: Request, ask: Ask, spool: Spool) -> ExecutionResult:
        context = Context(
            stores=self._stores,
            permissions=self._access.admit(request.headers),
            intake=self._intake,
            calculation=self._calculation,
            max_points=self._settings.max_points,
            request_id=request.state.request_id,
            turns=self._turns,
            spool=spool,
            operation_name=ask.operation_name,
        )
        if len(ask.query) > (most := self._settings.max_query_length):
            detail = f"the query has {len(ask.query)} characters; {most} are allowed: send values as variables"
            raise Refused(400, detail, "QUERY_TOO_LARGE")
        allowed = [OperationType.QUERY] if request.method == "GET" else list(OperationType)
        try:
            async with until_client_leaves(request):
                return await self._schema.execute(
                    ask.query,
                    ask.variables,
                    context,
                    operation_name=ask.operation_name,
                    allowed_operation_types=allowed,
                )
        except InvalidOperationTypeError:
            raise Refused(405, "GET executes queries only; use POST", headers={"Allow": "POST"}) from None
        except CannotGetOperationTypeError as error:
            return ExecutionResult(None, [GraphQLError(error.as_http_error_reason())])


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
    others = ["DELETE", "OPTIONS", "PATCH", "PUT"]
    router.add_api_route(PATH, _refuse_method, methods=others, include_in_schema=False)
    files = StaticFiles(directory=PLAYGROUND, packages=[(STATIC, f"static/{STATIC}")])
    router.mount(f"{PATH}/static", files)
    return router


async def _refuse_method() -> None:
    """A route of its own, so that Allow names both of the others."""
    raise HTTPException(405, headers={"Allow": "GET, POST"})


def _media_type(request: Request, *offers: str) -> str | None:
    """The best of the offers; the type that GraphQL has of its own is for those who name it."""
    accept = ",".join(request.headers.getlist("accept"))
    return negotiate(accept, (GRAPHQL, *offers) if GRAPHQL in accept.lower() else offers)


def _read_url(request: Request) -> Ask:
    fields: dict[str, Any] = {name: text for name, text in request.query_params.items() if text}
    for name in ("variables", "extensions"):
        if name in fields:
            fields[name] = _decode_json(fields[name].encode())
    return _convert(fields)


def _decode(body: bytes) -> Ask:
    ask = _decode_json(body)
    if isinstance(ask, list):
        raise Refused(400, "batches are not taken: send one query a request", "BATCH_REFUSED")
    return _convert(ask)


def _decode_json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"this is no JSON: {error}") from None


def _convert(fields: Any) -> Ask:
    if _is_hash_alone(fields):
        raise NO_HASHES
    try:
        ask = msgspec.convert(fields, Ask)
    except msgspec.ValidationError as error:
        raise Refused(400, f"this is no GraphQL request: {error}") from None
    if not ask.query.strip():
        raise Refused(400, "this is no GraphQL request: the query is empty")
    return ask


def _is_hash_alone(fields: Any) -> bool:
    """Whether a query is meant by its hash, without its text: an automatic persisted query."""
    match fields:
        case {"query": str(text)} if text:
            return False
        case {"extensions": {"persistedQuery": _}}:
            return True
        case _:
            return False


def _present(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """The answer's body; without `data` where nothing was executed, which is what an error without a path means."""
    errors = [present_error(error, request_id) for error in result.errors or ()]
    executed = result.data is not None or any("path" in error for error in errors)
    return ({"data": result.data} if executed else {}) | ({"errors": errors} if errors else {})


def _is_unavailable(result: ExecutionResult) -> bool:
    return any(isinstance(error.original_error, Unavailable) for error in result.errors or ())


def refuse(refused: Refused, media_type: str) -> Response:
    error = {"message": shorten(refused.message), "extensions": {"code": refused.code}}
    body = orjson.dumps({"errors": [error]})
    return Response(body, refused.status, {**_headers(media_type), **(refused.headers or {})})


def _headers(media_type: str) -> dict[str, str]:
    return {"Content-Type": f"{media_type}; charset=utf-8", "Vary": "Accept"}
