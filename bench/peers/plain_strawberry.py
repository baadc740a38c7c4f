"""GraphQL over motor as Strawberry's own documentation would have it."""

import asyncio
import os
from datetime import datetime
from typing import Any

import strawberry
import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from strawberry.asgi import GraphQL
from strawberry.schema.config import StrawberryConfig

from datacosmos.api.graphql.scalars import DATE_TIME
from datacosmos.programs.server import serving
from datacosmos.settings import Settings


@strawberry.type
class Point:
    time: datetime
    value: float


@strawberry.type
class Query:
    @strawberry.field
    async def points(
        self, info: strawberry.Info[Any, None], start: datetime, end: datetime, series: str = "datacosmos"
    ) -> list[Point]:
        where = {"series": series, "status": "accepted", "time": {"$gte": start, "$lte": end}}
        cursor = info.context["points"].find(where, {"_id": 0, "time": 1, "value": 1}, batch_size=200_000)
        return [Point(**document) async for document in cursor.sort([("time", 1), ("_id", 1)])]


class Endpoint(GraphQL[dict[str, Any], None]):
    async def get_context(self, request: Any, response: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"points": points}


points: Any = None


async def main() -> None:
    global points  # noqa: PLW0603  the client belongs to the loop that runs
    points = AsyncIOMotorClient(os.environ["MONGODB_URL"], tz_aware=True)["datacosmos"]["points"]
    schema = strawberry.Schema(Query, config=StrawberryConfig(scalar_map={datetime: DATE_TIME}))
    async with serving(Endpoint(schema), Settings(), host="127.0.0.1", port=0) as address:
        print(address, flush=True)
        await asyncio.Event().wait()


uvloop.run(main())
