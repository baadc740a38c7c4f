"""The types of the schema, and how the domain's records become them."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Self, TypeVar

import strawberry
from strawberry.relay import PageInfo

from datacosmos.api.graphql.cursors import Kind, encode_cursor
from datacosmos.domain import points as domain
from datacosmos.domain.points import Reason
from datacosmos.store.points import Position

T = TypeVar("T")
strawberry.enum(Reason, description="Why a reading was discarded, in order of precedence.")


@strawberry.type(description="An accepted point: one value at one time in one series.")
class Point:
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
    payload: strawberry.Private[bytes]

    @strawberry.field(description="The payload as text; null where it is not UTF-8.")
    def raw(self) -> str | None:
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            return None

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
            payload=reading.raw,
        )


@strawberry.type
class Edge(Generic[T]):
    cursor: str
    node: T


@strawberry.type(description="A page, and how to ask for the next: pass endCursor as `after`.")
class Connection(Generic[T]):
    edges: list[Edge[T]]
    page_info: PageInfo


def connect(
    found: Sequence[domain.Point],
    size: int,
    kind: Kind,
    convert: Callable[[domain.Point], T],
    *,
    has_previous: bool,
) -> Connection[T]:
    """A page of at most `size`; one more found means that there is a next page."""
    edges = [Edge(cursor=encode_cursor(kind, _position(point, kind)), node=convert(point)) for point in found[:size]]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=len(found) > size,
            has_previous_page=has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def _position(point: domain.Point, kind: Kind) -> Position:
    time = point.reading.time if kind is Kind.POINTS else None
    return Position(time or point.received_at, point.id)
