"""POST /sensors: readings of sensors, one, many or a stream of lines, taken as one message on the queue."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import uuid_utils
from fastapi import APIRouter, Header, Request, Security
from starlette.responses import Response

from datacosmos.api.access import BEARER
from datacosmos.api.rest.pushes import Door
from datacosmos.domain.points import Delivery, Receipt
from datacosmos.errors import InvalidUpload
from datacosmos.http.problems import described
from datacosmos.settings import Settings
from datacosmos.sources import sensors

Publish = Callable[[Delivery], Awaitable[None]]
KEYS = uuid.UUID("6f0b5b0c-6c0e-4d2b-9a55-0d0b2b1f8c11")
"""The namespace of delivery ids that come of an Idempotency-Key."""
_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])

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
            default=None, min_length=1, max_length=256, description="A resend under the same key changes nothing."
        ),
    ) -> Response:
        sender = door.writer(request).owner
        records = await door.read(request, split)
        if len(records) > settings.sensors_max_readings:
            most = settings.sensors_max_readings
            raise InvalidUpload([(None, f"it holds {len(records)} records; send at most {most} at once")])
        delivery = sensors.receive(
            records,
            delivery_id=_delivery_id(sender, idempotency_key),
            received_at=datetime.now(UTC),
            judges=judges,
            sender=sender,
        )
        await publish(delivery)
        return Response(orjson.dumps(_taken(delivery)), 202, media_type="application/json")

    return router


def split(body: bytes) -> Sequence[bytes]:
    """The records in a body, each as it was sent. Raises InvalidUpload where nothing of it is JSON."""
    text = body.strip()
    if text.startswith(b"["):
        try:
            records = [bytes(record) for record in _RECORDS.decode(text)]
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidUpload([(None, f"it is no JSON array: {error}")]) from None
    else:
        records = [text] if _is_json(text) else [line for line in text.split(b"\n") if line.strip()]
        if not any(_is_json(record) for record in records):
            raise InvalidUpload([(None, "it is no JSON: send a record, an array of records, or a record a line")])
    if not records:
        raise InvalidUpload([(None, "it holds no record")])
    return records


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _delivery_id(sender: str | None, key: str | None) -> str:
    """The same for the same sender and key, for ever; without a key, a new one."""
    if key is None:
        return str(uuid_utils.uuid7())
    return str(uuid.uuid5(KEYS, orjson.dumps([sender, key]).decode()))


def _taken(delivery: Delivery) -> dict[str, Any]:
    receipt = Receipt.of(delivery)
    return {
        "deliveryId": delivery.id,
        "readings": receipt.readings,
        "accepted": receipt.accepted,
        "discarded": {reason.value: n for reason, n in receipt.discarded.items()},
    }
