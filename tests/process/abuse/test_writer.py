"""What may keep a writer from getting on: duplicates, a slow MongoDB, one that does not answer."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from datacosmos.domain.points import Delivery, Reason
from datacosmos.errors import StoreUnavailable
from datacosmos.http.health_routes import create_health_app
from datacosmos.programs import checks
from datacosmos.settings import Settings
from datacosmos.sources import sensors
from datacosmos.store.mongo.connection import Database, connect
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.documents import to_document
from datacosmos.store.points.inserts import Written
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import client_of
from tests.engine.pipeline.test_writer import writing
from tests.pages import whole
from tests.process.abuse.listening import listening
from tests.queues import RECEIVED_AT, emptied, open_queue
from tests.some_points import accepted, everything, ids, named


def push(delivery_id: str, sensor: str, count: int = 1) -> Delivery:
    """As POST /sensors makes it of `count` records of one sensor and time."""
    content = {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"}
    record = orjson.dumps({"id": sensor, "type": "Sensor", "content": content})
    return sensors.source(Settings.model_construct()).receive(
        [record] * count, delivery_id=delivery_id, received_at=RECEIVED_AT
    )


async def test_of_duplicates_within_a_batch_mongodb_is_never_asked(settings: Settings, stores: Stores) -> None:
    """Each that it finds itself costs it a hundred times as much as one that it is told of."""
    async with listening(settings) as (database, heard):
        for delivery_id in ("first", "second"):
            written = await Points(database).add(push(delivery_id, "a", 2000).points)
            assert len(written.stored) == 2000
    assert heard.refused == 1  # the first of the second push
    [winner] = await whole(stores.points.accepted("sensors/a", Window(), limit=10))
    losers = await whole(stores.points.discards(Reason.DUPLICATE, Window(), limit=10_000))
    assert winner.id == "first/00000"
    assert len(losers) == 3999
    assert {loser.duplicate_of for loser in losers} == {winner.id}


async def test_pushes_of_duplicates_are_stored_however_short_the_timeout(settings: Settings, stores: Stores) -> None:
    impatient = settings.model_copy(
        update={"mongodb_timeout": timedelta(milliseconds=500), "write_backoff_max": timedelta(milliseconds=500)}
    )
    assert settings.mongodb_url
    url, timeout = settings.mongodb_url.get_secret_value(), impatient.mongodb_timeout
    async with open_queue(settings) as queue, connect(url, settings.mongodb_database, timeout) as database:
        for number in range(4):
            await queue.publish(push(f"push-{number}", "a", 10_000))
        await queue.publish(push("other", "b"))
        async with writing(impatient, queue, Stores.of(database)):
            await emptied(queue)
    assert len(await whole(stores.points.accepted("sensors/a", Window(), limit=10))) == 1
    assert len(await whole(stores.points.accepted("sensors/b", Window(), limit=10))) == 1
    assert await stores.points.count("sensors", Reason.DUPLICATE) == 39_999


async def test_after_an_insert_that_took_too_long_half_as_many_go_at_once_and_none_twice(
    settings: Settings, points: Points, database: Database
) -> None:
    """It has ended in MongoDB too by then. What holds it up is another's transaction, which has the same id."""
    batch = [named(f"sensor/{number}") for number in range(4)]
    written = Written()
    async with listening(settings, timedelta(milliseconds=500)) as (slow, heard):
        writer = Points(slow)
        async with await database.client.start_session() as session, session.start_transaction():
            await database["points"].insert_one(to_document(batch[2]), session=session)
            for settled in (0, 2, 2):
                with pytest.raises(StoreUnavailable):
                    await writer.add(batch, written)
                assert len(written.ids) == settled
            async with asyncio.timeout(2):  # by itself, the transaction would last longer
                while await running(database):
                    await asyncio.sleep(0.05)
            await session.abort_transaction()
        await writer.add(batch, written)
    assert heard.inserts == [ids(some) for some in (batch, batch[:2], batch[2:], batch[2:3], batch[2:3], batch[3:])]
    assert sorted(written.ids) == await accepted(points) == ids(batch)
    assert len(await everything(database)) == 4


async def running(database: Database) -> list[str]:
    """The inserts that MongoDB is at."""
    stages: list[dict[str, Any]] = [{"$currentOp": {}}, {"$match": {"ns": f"{database.name}.points", "op": "insert"}}]
    return [operation["op"] async for operation in database.client.admin.aggregate(stages)]


async def test_health_tells_how_long_the_oldest_reading_has_waited_to_be_written(
    settings: Settings, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_queue(settings) as queue:
        app = create_health_app(
            health={"writer": checks.writer_check(queue)}, refresh=[lambda: checks.show_queue(queue)]
        )
        async with client_of(app) as client:
            assert await state(client) == (200, "ok", "all is written")
            await queue.publish(push("waits", "a"))
            status, said, detail = await state(client)
            assert (status, said) == (200, "ok")
            assert "the oldest unwritten message has waited for" in detail
            monkeypatch.setattr(checks, "LATE", 0.0)
            status, said, detail = await state(client)
            assert (status, said) == (200, "degraded")
            assert "the writer's log tells why" in detail
            assert await gauge(client) > 0
            async with writing(settings, queue, stores):
                await emptied(queue)
            assert await state(client) == (200, "ok", "all is written")
            assert await gauge(client) == 0


async def state(client: httpx.AsyncClient) -> tuple[int, str, str]:
    answer = await client.get("/health")
    part = answer.json()["parts"]["writer"]
    assert part["status"] == answer.json()["status"]
    return answer.status_code, part["status"], part["detail"]


async def gauge(client: httpx.AsyncClient) -> float:
    [value] = re.findall(
        r"^datacosmos_unwritten_oldest_seconds (\S+)$", (await client.get("/metrics")).text, re.MULTILINE
    )
    return float(value)
