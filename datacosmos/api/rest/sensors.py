"""POST /sensors: readings of sensors, one, many or a stream of lines, taken as one message on the queue."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson
import uuid_utils
from fastapi import APIRouter, Header, Request, Security
from starlette.responses import Response

from datacosmos.api.access import BEARER
from datacosmos.api.rest.pushes import Door
from datacosmos.domain.points import Delivery, Receipt
from datacosmos.http.problems import described
from datacosmos.settings import Settings
from datacosmos.sources import sensors
from datacosmos.sources.records import split

Publish = Callable[[Delivery], Awaitable[None]]
KEYS = uuid.UUID("6f0b5b0c-6c0e-4d2b-9a55-0d0b2b1f8c11")
"""The namespace of delivery ids that come of an Idempotency-Key."""
LONG = 4 << 10  # bytes; they may hold thousands of records, and to judge those takes longer than the others should wait

EXAMPLE = {
    "id": "a1",
    "type": "Sensor",
    "content": {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"},
}
BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": ["object", "array"]}, "example": [EXAMPLE]},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": orjson.dumps(EXAMPLE).decode() + "\n"},
    },
}
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
    **described(400, 401, 413, 415, 503),
}


def sensors_routes(settings: Settings, door: Door, publish: Publish) -> APIRouter:
    router = APIRouter(tags=["sensors"])
    judges = sensors.rules(settings.sensors_max_age)

    @router.post(
        "/sensors",
        summary="Queue readings of sensors: one record, an array, or a record a line",
        status_code=202,
        response_class=Response,
        responses=ANSWERS,
        dependencies=[Security(BEARER)],
        openapi_extra={"requestBody": BODY},
    )
    async def _push(
        request: Request,
        idempotency_key: str | None = Header(
            default=None,
            min_length=1,
            max_length=256,
            description="The same body sent again under the same key changes nothing.",
        ),
    ) -> Response:
        sender = door.writer(request).owner

        def receive(body: bytes) -> Delivery:
            records = split(body, settings.sensors_max_readings)
            return sensors.receive(
                records,
                delivery_id=_delivery_id(sender, idempotency_key, records),
                received_at=datetime.now(UTC),
                judges=judges,
                sender=sender,
            )

        delivery = await door.read(request, receive, long=LONG)
        await publish(delivery)
        return Response(orjson.dumps(_taken(delivery)), 202, media_type="application/json")

    return router


def _delivery_id(sender: str | None, key: str | None, records: Sequence[bytes]) -> str:
    """The same for the same sender, key and records, for ever; without a key, a new one.

    Were the records left out, others under a key used before would be taken for stored, and be lost.
    """
    if key is None:
        return str(uuid_utils.uuid7())
    digest = sha256()
    for record in records:
        digest.update(b"%d:" % len(record) + record)
    return str(uuid.uuid5(KEYS, orjson.dumps([sender, key, digest.hexdigest()]).decode()))


def _taken(delivery: Delivery) -> dict[str, Any]:
    receipt = Receipt.of(delivery)
    return {
        "deliveryId": delivery.id,
        "readings": receipt.readings,
        "accepted": receipt.accepted,
        "discarded": {reason.value: n for reason, n in receipt.discarded.items()},
    }
