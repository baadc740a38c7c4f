"""POST /sensors, and alike for each pushed source: one reading, many or a stream, as one message on the queue."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Security
from starlette.responses import Response

from datacosmos.api.bearer import BEARER
from datacosmos.api.rest.idempotency import key_header
from datacosmos.api.rest.parsing import Parsing
from datacosmos.api.rest.pushes import Pushes
from datacosmos.auth.permissions import AccessControl
from datacosmos.domain.points import Receipt
from datacosmos.http.parameters import StrictRoute
from datacosmos.http.problems import described
from datacosmos.sources.encoded import Encoded
from datacosmos.sources.pushed_readings import Push
from datacosmos.sources.source import Pushed, Source

Key = Annotated[str | None, key_header("The same body sent again under the same key changes nothing.")]
Publish = Callable[[Encoded], Awaitable[None]]
LONG = 4 << 10  # bytes; they may hold thousands of records, and to judge those takes longer than the others should wait
APART = 64 << 10  # bytes of hundreds of records: in a thread they would keep the event loop from the interpreter

TAKEN: dict[str, Any] = {
    "deliveryId": "01a20444-e7b3-72ef-afc5-601900dc508f",
    "readings": 1,
    "accepted": 1,
    "discarded": {},
}
SCHEMA = {
    "type": "object",
    "required": list(TAKEN),
    "properties": {
        "deliveryId": {"type": "string"},
        "readings": {"type": "integer"},
        "accepted": {"type": "integer"},
        "discarded": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "All of it is durably on the queue; duplicates are told only in the receipt.",
        "content": {"application/json": {"schema": SCHEMA, "example": TAKEN}},
    },
    **described(400, 401, 403, 408, 413, 415, 503),
}


def readings_routes(
    source: Source, pushed: Pushed, access: AccessControl, parsing: Parsing, publish: Publish
) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, tags=[source.name])
    pushes = Pushes(pushed.max_bytes, parsing)

    @router.post(
        pushed.path,
        summary=f"Queue readings of {source.name}: one record, an array, or a record a line",
        status_code=202,
        response_class=Response,
        responses=ANSWERS,
        dependencies=[Security(BEARER)],
        openapi_extra={"requestBody": _body(pushed)},
    )
    async def _push(
        request: Request,
        idempotency_key: Key = None,
    ) -> Response:
        sender = access.identify_writer(request.headers).owner
        push = Push(source, pushed, sender, idempotency_key)
        async with pushes.read(request, push.read, long=LONG, apart=APART) as encoded:
            await publish(encoded)
        return Response(orjson.dumps(_taken(encoded.receipt)), 202, media_type="application/json")

    return router


def _body(pushed: Pushed) -> dict[str, Any]:
    record = {"$ref": f"#/components/schemas/{pushed.record_name}"}
    line = orjson.dumps(pushed.example).decode() + "\n"
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [record, {"type": "array", "items": record}]},
                "example": [pushed.example],
            },
            "application/x-ndjson": {"schema": {"type": "string"}, "example": line},
        },
    }


def _taken(receipt: Receipt) -> dict[str, Any]:
    return {
        "deliveryId": receipt.delivery_id,
        "readings": receipt.readings,
        "accepted": receipt.accepted,
        "discarded": {reason.value: n for reason, n in receipt.discarded.items()},
    }
