"""The types of the schema, and how the domain's records become them."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Self

import strawberry

from datacosmos.api.graphql.scalars import BigInt
from datacosmos.domain import ledger as ledgers
from datacosmos.domain import points as domain
from datacosmos.domain.minutes import Minute
from datacosmos.domain.points import Reason

strawberry.enum(Reason, description="Why a reading was discarded, in order of precedence.")


@strawberry.enum(description="Of a list, by the time and then the id that it goes by.")
class Order(Enum):
    ASCENDING = "ascending"
    DESCENDING = "descending"


def is_down(order: Order) -> bool:
    return order is Order.DESCENDING


@strawberry.type(description="An accepted point: one value at one time in one series.")
class Point:
    id: strawberry.ID
    series: str
    time: datetime
    value: float
    tags: list[str]
    received_at: datetime

    @classmethod
    def of(cls, point: domain.Point) -> Self:
        reading = point.reading
        if reading.series is None or reading.time is None or reading.value is None:
            raise ValueError(f"the accepted point {point.id} is incomplete")
        return cls(
            id=strawberry.ID(point.id),
            series=reading.series,
            time=reading.time,
            value=reading.value,
            tags=list(reading.tags),
            received_at=point.received_at,
        )


@strawberry.type(description="A reading that was not accepted; what could not be parsed is null.")
class Discard:
    id: strawberry.ID
    source: str
    series: str | None
    time: datetime | None
    value: float | None
    tags: list[str]
    reason: Reason = strawberry.field(description="The first of the reasons, by precedence.")
    reasons: list[Reason]
    received_at: datetime
    faults: list[str] = strawberry.field(description="What was wrong with a malformed one.")
    duplicate_of: strawberry.ID | None = strawberry.field(description="The accepted point that a duplicate repeats.")
    payload: strawberry.Private[bytes]

    @strawberry.field(description="The payload as text; null where it is not UTF-8.")
    def raw(self) -> str | None:
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            return None

    @strawberry.field(description="The first characters of the payload; what is no UTF-8 reads as \ufffd.")
    def raw_preview(self, length: int = 200) -> str:
        wanted = max(0, length)
        return self.payload[: 4 * wanted].decode(errors="replace")[:wanted]

    @strawberry.field(description="The payload as it was received.")
    def raw_base64(self) -> str:
        return b64encode(self.payload).decode()

    @classmethod
    def of(cls, point: domain.Point) -> Self:
        reading, verdict = point.reading, point.verdict
        if verdict.reason is None:
            raise ValueError(f"the discard {point.id} has no reason")
        return cls(
            id=strawberry.ID(point.id),
            source=reading.source,
            series=reading.series,
            time=reading.time,
            value=reading.value,
            tags=list(reading.tags),
            reason=verdict.reason,
            reasons=list(verdict.reasons),
            received_at=point.received_at,
            faults=list(reading.faults),
            duplicate_of=None if point.duplicate_of is None else strawberry.ID(point.duplicate_of),
            payload=reading.raw,
        )


@strawberry.type(description="An accepted reading of a sensor.")
class SensorReading:
    sensor_id: str
    time: datetime
    temperature_c: float
    temperature_f: float = strawberry.field(description="As it was sent.")

    @classmethod
    def of(cls, sensor_id: str, point: domain.Point) -> Self:
        reading = point.reading
        if reading.time is None or reading.value is None or reading.sent_value is None:
            raise ValueError(f"the accepted point {point.id} is incomplete")
        return cls(
            sensor_id=sensor_id, time=reading.time, temperature_c=reading.value, temperature_f=reading.sent_value
        )


@strawberry.type
class ReasonCount:
    reason: Reason
    count: BigInt

    @classmethod
    def all(cls, counts: Mapping[Reason, int]) -> list[Self]:
        return [cls(reason=reason, count=BigInt(n)) for reason, n in counts.items()]


@strawberry.type(description="What became of one delivery.")
class Receipt:
    delivery_id: strawberry.ID
    source: str
    received_at: datetime
    readings: int
    accepted: int
    discarded: int
    discarded_by_reason: list[ReasonCount]

    @classmethod
    def of(cls, receipt: domain.Receipt) -> Self:
        return cls(
            delivery_id=strawberry.ID(receipt.delivery_id),
            source=receipt.source,
            received_at=receipt.received_at,
            readings=receipt.readings,
            accepted=receipt.accepted,
            discarded=sum(receipt.discarded.values()),
            discarded_by_reason=ReasonCount.all(receipt.discarded),
        )


@strawberry.type(
    description="Readings of one source: received = accepted + discarded + inFlight + deadLettered. `messages` are the "
    "deliveries they came in; over all sources they add up to the messages ever put on the queue."
)
class SourceLedger:
    source: str
    messages: BigInt
    received: BigInt
    accepted: BigInt
    discarded: BigInt
    discarded_by_reason: list[ReasonCount]
    in_flight: BigInt
    dead_lettered: BigInt
    oldest_in_flight: datetime | None

    @classmethod
    def of(cls, ledger: ledgers.SourceLedger) -> Self:
        return cls(
            source=ledger.source,
            messages=BigInt(ledger.messages),
            received=BigInt(ledger.received),
            accepted=BigInt(ledger.accepted),
            discarded=BigInt(sum(ledger.discarded.values())),
            discarded_by_reason=ReasonCount.all(ledger.discarded),
            in_flight=BigInt(ledger.in_flight),
            dead_lettered=BigInt(ledger.dead_lettered),
            oldest_in_flight=ledger.oldest_in_flight,
        )


@strawberry.type(description="The simple averages of a user's locations over one minute.")
class LocationMinute:
    minute: datetime
    lat: float = strawberry.field(description="Degrees.")
    long: float = strawberry.field(description="Degrees; on the shorter way, also across 180.")
    accuracy: float = strawberry.field(description="Metres.")
    speed: float | None = strawberry.field(description="Metres a second; null where it was unknown throughout.")
    count: int = strawberry.field(description="Locations that count in the averages.")
    duplicates: int = strawberry.field(description="Locations refused as duplicates of those.")

    @classmethod
    def of(cls, minute: Minute) -> Self:
        return cls(
            minute=minute.minute,
            lat=minute.lat,
            long=minute.long,
            accuracy=minute.accuracy,
            speed=minute.speed,
            count=minute.count,
            duplicates=minute.duplicates,
        )
