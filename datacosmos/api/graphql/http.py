"""GraphQL over HTTP, after https://graphql.github.io/graphql-over-http/draft/ (GET and POST, no batches)."""

from codecs import BOM_UTF8
from functools import partial
from pathlib import Path

import orjson
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from datacosmos.api.feed.feed import Feed
from datacosmos.api.feed.streaming import Streaming
from datacosmos.api.graphql.asks import (
    Ask,
    Call,
    Refused,
    decode,
    media_type_of,
    read_url,
    refusal_of,
    usual_call,
)
from datacosmos.api.graphql.context import Context
from datacosmos.api.graphql.documented import PARAMETERS
from datacosmos.api.graphql.errors import present_error
from datacosmos.api.graphql.event_stream import streamed
from datacosmos.api.graphql.fast import dump
from datacosmos.api.graphql.schema import create_schema
from datacosmos.api.graphql.streams import Operation, Streams
from datacosmos.api.graphql.websocket import serve
from datacosmos.api.intake import Intake
from datacosmos.api.lists.answers import LongAnswer, ShortAnswer, head_of, whole
from datacosmos.api.lists.spool import Spool, Spools
from datacosmos.api.media import EVENT_STREAM, GRAPHQL, HTML, JSON
from datacosmos.auth.permissions import AccessControl, Permissions
from datacosmos.calculation.client import Calculation
from datacosmos.errors import Unavailable, shorten
from datacosmos.http.bodies import BodyTooLarge, BodyTooSlow, BrokenBody, UnknownEncoding, read_unpacked, received
from datacosmos.http.leaving import until_client_leaves
from datacosmos.http.pace import Pace
from datacosmos.http.parameters import find_faults
from datacosmos.http.problems import RETRY_AFTER
from datacosmos.settings import Settings
from datacosmos.store.mongo.turns import begin_query
from datacosmos.store.stores import Stores

PATH = "/graphql"
PLAYGROUND = Path(__file__).parent / "playground"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PARAMETER_NAMES = [parameter["name"] for parameter in PARAMETERS]
QUERIES, ALL = [OperationType.QUERY], [OperationType.QUERY, OperationType.MUTATION]
SUBSCRIPTIONS = f"a subscription is answered by WebSocket, or as {EVENT_STREAM}, where Accept asks for that"
UNREADABLE = (BodyTooLarge, UnknownEncoding, BrokenBody, BodyTooSlow, Unavailable)
HEADS = {kind: head_of({"Content-Type": f"{kind}; charset=utf-8", "Vary": "Accept"}) for kind in (JSON, GRAPHQL)}
RETRY = head_of(RETRY_AFTER)
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Vary": "Accept"}


class Endpoint:
    """Reads a request, has it executed, and says how it went."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        access: AccessControl,
        intake: Intake,
        calculation: Calculation,
        feed: Feed,
        *,
        fast: bool = True,
    ) -> None:
        self._schema = create_schema(settings, fast=fast)
        self.streams = Streams(self._schema, settings)
        self.feed, self.access, self.settings = feed, access, settings
        self._spools = Spools(settings.answer_max_bytes, settings.spool_max_bytes)
        self._pace = Pace("slow_answers", "answer")
        self._stores = stores
        self._intake, self._calculation = intake, calculation

    async def get(self, request: Request) -> Response:
        """Executes the query of the URL; a browser gets the playground."""
        if media_type_of(request.headers, JSON, HTML) == HTML:
            return FileResponse(PLAYGROUND / "index.html", headers=PAGE_HEADERS)
        return await self._answer(request)

    async def post(self, request: Request) -> Response:
        """Executes the query of the body, or streams the answers of a subscription."""
        request.state.reads = True
        if media_type_of(request.headers, JSON, EVENT_STREAM) == EVENT_STREAM:
            return await self._stream(request)
        return await self._answer(request)

    async def connect(self, websocket: WebSocket) -> None:
        """Serves a WebSocket."""
        await serve(websocket, self)

    async def _stream(self, request: Request) -> Response:
        """After https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverSSE.md, distinct connections."""
        try:
            ask = await self._read(request)
        except Refused as refused:
            return refuse(refused, JSON)
        spool = self._spools.open()
        context = self.context(self.access.admit(request.headers), request.state.request_id, ask.operation_name, spool)
        answers = self.streams.answers(Operation(ask.query, ask.variables, ask.operation_name), context)
        return Streaming(request, streamed(answers, self.feed), answers)

    def open_spool(self) -> Spool:
        return self._spools.open()

    def context(self, permissions: Permissions, request_id: str, operation_name: str | None, spool: Spool) -> Context:
        """What the resolvers of one operation may use."""
        return Context(
            stores=self._stores,
            permissions=permissions,
            intake=self._intake,
            calculation=self._calculation,
            max_points=self.settings.max_points,
            request_id=request_id,
            spool=spool,
            feed=self.feed,
            operation_name=operation_name,
        )

    def usual(self, scope: Scope, receive: Receive) -> ASGIApp | None:
        """What does the same as `post` from bytes to bytes, where the head is of a usual kind."""
        call = usual_call(scope, receive, self.settings.max_request_bytes)
        return None if call is None else partial(self._post_usual, call)

    async def _post_usual(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["reads"] = True
        try:
            body = await received(receive)
        except UNREADABLE as error:
            answer = refuse(refusal_of(error), call.media_type)
        else:
            answer = await self._execute(call, body)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        media_type = media_type_of(request.headers, JSON)
        if media_type is None:
            return refuse(Refused(406, f"the answer is {GRAPHQL} or {JSON}, and Accept takes neither"), JSON)
        try:
            ask = await self._read(request)
        except Refused as refused:
            return refuse(refused, media_type)
        return await self._execute(Call(request.scope, request.receive, request.headers, media_type), ask)

    async def _read(self, request: Request) -> Ask:
        parameters = PARAMETER_NAMES if request.method == "GET" else ()
        if faults := find_faults(request.scope, parameters, allow_empty=True):
            raise Refused(400, "; ".join(f"{name}: {fault}" for name, fault in faults.items()))
        if request.method == "GET":
            return read_url(request)
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
            raise Refused(415, f"Content-Type must be {JSON}")
        try:
            return decode(await read_unpacked(request, self.settings.max_request_bytes))
        except UNREADABLE as error:
            raise refusal_of(error) from None

    async def _execute(self, call: Call, ask: Ask | bytes) -> Response:
        """What is asked for by the ask, or by a body that is to be read as one."""
        spool = self._spools.open()
        answer = None
        try:
            asked = decode(ask.removeprefix(BOM_UTF8)) if isinstance(ask, bytes) else ask
            return (answer := self._present(call, await self._result(call, asked, spool), spool))
        except Refused as refused:
            return refuse(refused, call.media_type)
        finally:
            if not isinstance(answer, LongAnswer):
                spool.close()

    async def _result(self, call: Call, ask: Ask, spool: Spool) -> ExecutionResult:
        if len(ask.query) > (most := self.settings.max_query_length):
            detail = f"the query has {len(ask.query)} characters; {most} are allowed: send values as variables"
            raise Refused(400, detail, "QUERY_TOO_LARGE")
        context = self.context(self.access.admit(call.headers), call.request_id, ask.operation_name, spool)
        allowed = QUERIES if call.scope["method"] == "GET" else ALL
        begin_query()
        try:
            with until_client_leaves(call.scope, call.receive):
                return await self._schema.execute(
                    ask.query,
                    ask.variables,
                    context,
                    operation_name=ask.operation_name,
                    allowed_operation_types=allowed,
                )
        except InvalidOperationTypeError:
            if call.scope["method"] == "POST":
                return ExecutionResult(None, [GraphQLError(SUBSCRIPTIONS)])
            raise Refused(405, "GET executes queries only; use POST", headers={"Allow": "POST"}) from None
        except CannotGetOperationTypeError as error:
            return ExecutionResult(None, [GraphQLError(error.as_http_error_reason())])

    def _present(self, call: Call, result: ExecutionResult, spool: Spool) -> Response:
        """Without `data` where nothing was executed, which is what an error without a path means."""
        errors = [present_error(error, call.request_id) for error in result.errors or ()]
        executed = result.data is not None or any("path" in error for error in errors)
        body = ({"data": result.data} if executed else {}) | ({"errors": errors} if errors else {})
        call.scope["state"]["failed"] = bool(errors)
        status = 400 if not executed and call.media_type == GRAPHQL else 200
        head = [*HEADS[call.media_type], *(RETRY if errors and _is_unavailable(result) else ())]
        pieces = dump(body)
        if (text := whole(pieces)) is not None:
            return ShortAnswer(text, status, head)
        return LongAnswer(pieces, spool, self._pace, status, head)


def _is_unavailable(result: ExecutionResult) -> bool:
    return any(isinstance(error.original_error, Unavailable) for error in result.errors or ())


def refuse(refused: Refused, media_type: str) -> Response:
    error = {"message": shorten(refused.message), "extensions": {"code": refused.code}}
    body = orjson.dumps({"errors": [error]})
    return ShortAnswer(body, refused.status, [*HEADS[media_type], *head_of(refused.headers or {})])
