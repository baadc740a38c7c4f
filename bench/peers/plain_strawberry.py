"""GraphQL over motor as Strawberry's own documentation would have it."""

import asyncio
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

import strawberry
import uvloop
from strawberry.asgi import GraphQL
from strawberry.schema.config import StrawberryConfig
from strawberry.types.nodes import SelectedField, Selection

from datacosmos.api.graphql.scalars import DATE_TIME
from datacosmos.domain.points import Reason
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.connection import connect
from datacosmos.store.mongo.ranges import Window

T = TypeVar("T")
Info = strawberry.Info[Any, None]
MOST = 200_000
STORED = {"id": "_id", "temperature_c": "value", "temperature_f": "sent_value"}
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")
strawberry.enum(Reason)


@strawberry.type
class Point:
    id: strawberry.ID
    series: str
    time: datetime
    value: float
    tags: list[str]
    received_at: datetime


@strawberry.type
class Edge:
    cursor: str
    node: Point


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Connection:
    edges: list[Edge]
    page_info: PageInfo


@strawberry.type
class Discard:
    id: strawberry.ID
    received_at: datetime
    time: datetime | None
    value: float | None
    reason: Reason
    reasons: list[Reason]
    faults: list[str] | None


@strawberry.type
class SensorReading:
    time: datetime
    temperature_c: float
    temperature_f: float


@strawberry.type
class LocationMinute:
    minute: datetime
    lat: float
    long: float
    accuracy: float
    speed: float | None
    count: int
    duplicates: int


@strawberry.type
class Query:
    @strawberry.field
    async def points(self, start: datetime, end: datetime, info: Info, series: str = "datacosmos") -> list[Point]:
        return await found(Point, info.selected_fields[0].selections, of(series) | between("time", start, end))

    @strawberry.field
    async def points_connection(
        self, start: datetime, end: datetime, first: int, info: Info, series: str = "datacosmos"
    ) -> Connection:
        [edge] = [each for each in selected(info.selected_fields[0].selections) if each.name == "edges"]
        [node] = [each for each in selected(edge.selections) if each.name == "node"]
        where = of(series) | between("time", start, end)
        nodes = await found(Point, node.selections, where, limit=first + 1, needed=("id", "time"))
        edges = [Edge(cursor=cursor_of(node), node=node) for node in nodes[:first]]
        last = edges[-1].cursor if edges else None
        return Connection(edges=edges, page_info=PageInfo(has_next_page=len(nodes) > first, end_cursor=last))

    @strawberry.field
    async def discards(self, start: datetime, end: datetime, info: Info) -> list[Discard]:
        where = {"status": "discarded"} | between("received_at", start, end)
        discards = await found(Discard, info.selected_fields[0].selections, where, by="received_at")
        for each in discards:
            each.reason, each.reasons = Reason(each.reason), [Reason(reason) for reason in each.reasons]
            each.faults = each.faults or []
        return discards

    @strawberry.field
    async def sensor_readings(self, sensor_id: str, start: datetime, end: datetime, info: Info) -> list[SensorReading]:
        where = of(f"sensors/{sensor_id}") | between("time", start, end)
        return await found(SensorReading, info.selected_fields[0].selections, where)

    @strawberry.field
    async def locations(self, user_id: str, start: datetime, end: datetime) -> list[LocationMinute]:
        pages = minutes.read(user_id, Window(start, end), limit=MOST)
        return [LocationMinute(**asdict(minute)) async for page in pages for minute in page]


def of(series: str) -> dict[str, Any]:
    return {"series": series, "status": "accepted"}


def between(name: str, start: datetime, end: datetime) -> dict[str, Any]:
    return {name: {"$gte": start, "$lte": end}}


def selected(selections: Iterable[Selection]) -> list[SelectedField]:
    return [each for each in selections if isinstance(each, SelectedField)]


def cursor_of(point: Point) -> str:
    milliseconds = (point.time - EPOCH) // timedelta(milliseconds=1)
    return urlsafe_b64encode(f"points|{milliseconds}|{point.id}".encode()).decode()


async def found(
    kind: type[T],
    selections: Iterable[Selection],
    where: dict[str, Any],
    *,
    by: str = "time",
    limit: int = 0,
    needed: Iterable[str] = (),
) -> list[T]:
    """Only the fields that are selected are read; the others stay None."""
    asked = {each.name.lower() for each in selected(selections)}
    stored = {each.name: STORED.get(each.name, each.name) for each in fields(kind)}  # type: ignore[arg-type]
    read = {name: place for name, place in stored.items() if name.replace("_", "") in asked or name in needed}
    projection = {"_id": 0} | dict.fromkeys(read.values(), 1)
    cursor = points.find(where, projection, batch_size=MOST, limit=limit).sort([(by, 1), ("_id", 1)])
    return [kind(**{name: document.get(place) for name, place in stored.items()}) async for document in cursor]


points: Any = None
minutes: Any = None


async def main() -> None:
    global points, minutes
    schema = strawberry.Schema(Query, config=StrawberryConfig(scalar_map={datetime: DATE_TIME}))
    async with connect(os.environ["MONGODB_URL"], "datacosmos", timedelta(seconds=30)) as database:
        points, minutes = database["points"], Minutes(database)
        async with serving(GraphQL[Any, None](schema), Settings(), host="127.0.0.1", port=0) as address:
            print(address, flush=True)
            await asyncio.Event().wait()


uvloop.run(main())
