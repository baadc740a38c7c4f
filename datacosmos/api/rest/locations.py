"""PUT /location: one location of a phone, folded into its user's minute before it is answered."""

from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from datacosmos.api.bearer import BEARER
from datacosmos.auth.permissions import AccessControl
from datacosmos.domain.minutes import CAPACITY, Folded
from datacosmos.http.bodies import read_unpacked
from datacosmos.http.parameters import StrictRoute
from datacosmos.http.problems import described, problem
from datacosmos.sources.locations import MAX_USER_ID, parse
from datacosmos.store.minutes.minutes import Minutes

MAX_BYTES = 16 * 1024
FULL = f"a minute holds {CAPACITY} locations of a user, and this one is full; the location is not counted"

FIELDS: dict[str, dict[str, Any]] = {
    "timestamp": {
        "type": "string",
        "description": "Local time at lat and long, or with an offset or Z; else by the rule of all times: ISO 8601, "
        "seconds may be left out, a fraction has 1 to 9 digits and is cut to the microsecond.",
    },
    "lat": {"type": "number", "minimum": -90, "maximum": 90, "description": "Degrees."},
    "long": {"type": "number", "minimum": -180, "maximum": 180, "description": "Degrees."},
    "accuracy": {"type": "number", "minimum": 0, "description": "Metres."},
    # No union with a constant, which generated clients can't tell from a number.
    "speed": {"type": "number", "minimum": -1, "description": "Metres a second, 0 or more; -1 for unknown."},
    "user_id": {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID},
}
EXAMPLE = {
    "timestamp": "2017-01-01 13:05:12",
    "lat": 40.701,
    "long": -73.916,
    "accuracy": 11.3000021,
    "speed": 1.3999992,
    "user_id": "a1",
}
SCHEMA = {"type": "object", "required": list(FIELDS), "properties": FIELDS}
BODY = {"required": True, "content": {"application/json": {"schema": SCHEMA, "example": EXAMPLE}}}
RESULT = {
    "type": "object",
    "required": ["result"],
    "properties": {"result": {"type": "string", "enum": [Folded.STORED, Folded.DUPLICATE]}},
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Stored, or a duplicate of an earlier one: the same user and timestamp as sent.",
        "content": {"application/json": {"schema": RESULT, "example": {"result": Folded.STORED}}},
    },
    **described(400, 401, 403, 408, 413, 415, 429, 503),
}


def locations_routes(minutes: Minutes, access: AccessControl) -> APIRouter:
    """Where not everybody may write, the token's subject must be the user that the location is of."""
    router = APIRouter(route_class=StrictRoute, tags=["locations"])

    @router.put(
        "/location",
        summary="Count a location in its user's minute",
        response_class=Response,
        responses=ANSWERS,
        # Not as a dependency, which would take an eighth of the request's time for nothing.
        openapi_extra={"requestBody": BODY, "security": [{BEARER.scheme_name: []}]},
    )
    async def _put(request: Request) -> Response:
        permissions = access.admit(request.headers)
        if not access.open_ingest:
            permissions.require_caller()
        location = parse(await read_unpacked(request, MAX_BYTES))
        if not access.open_ingest:
            permissions.require_subject(location.user_id)
        folded = await minutes.fold(location)
        if folded is Folded.FULL:
            return problem(429, FULL)
        return Response(orjson.dumps({"result": folded}), media_type="application/json")

    return router
