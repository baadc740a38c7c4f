import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from datacosmos.domain.points import Point, Reading, Reason, Receipt, Verdict
from datacosmos.domain.series import EARLIEST, LATEST, from_datetime
from datacosmos.domain.summaries import HOUR
from datacosmos.errors import StoreUnavailable
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.writer import Writer
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import Database
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.inserts import Written
from datacosmos.store.points.points import Points
from datacosmos.store.points.receipts import Receipts
from datacosmos.store.stores import Stores
from datacosmos.store.summaries.building import Builder
from tests.pages import whole
from tests.queues import RECEIVED_AT, delivery, emptied, jetstream, without_raw

ALL = Window()


@asynccontextmanager
async def writing(settings: Settings, queue: Queue, stores: Stores) -> AsyncGenerator[None]:
    writer = Writer(settings, queue=queue, stores=stores)
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        writer.stop()
        await task


async def test_what_is_on_the_queue_is_stored_with_its_verdict(
    settings: Settings, queue: Queue, stores: Stores
) -> None:
    await queue.publish(delivery("good"))
    await queue.publish(delivery("bad", b"\xff"))
    async with writing(settings, queue, stores):
        await emptied(queue)
    (accepted,) = await whole(stores.points.accepted("datacosmos", ALL, limit=10))
    (discard,) = await whole(stores.points.discards(None, ALL, limit=10))
    assert accepted == without_raw(delivery("good").points[0])
    assert (discard.id, discard.verdict, discard.reading.raw) == ("bad", Verdict((Reason.MALFORMED,)), b"\xff")


async def test_a_redelivery_changes_nothing(settings: Settings, queue: Queue, stores: Stores) -> None:
    sent = delivery("a")
    await stores.points.add(sent.points)
    await queue.publish(sent)
    async with writing(settings, queue, stores):
        await emptied(queue)
    assert await whole(stores.points.accepted("datacosmos", ALL, limit=10)) == [without_raw(sent.points[0])]


async def test_what_is_acknowledged_counts_in_every_answer_also_when_it_was_stored_before(
    settings: Settings, queue: Queue, stores: Stores, database: Database
) -> None:
    await Builder(database, stores.summaries).catch_up()
    await stores.points.add(delivery("stored").points)  # and nothing more: its writer was killed
    for name in ("stored", "fresh"):
        await queue.publish(delivery(name))
    async with writing(settings, queue, stores):
        await emptied(queue)
    assert await stores.summaries.count("datacosmos", EARLIEST, LATEST) == 2
    assert await stores.summaries.names.source_of("datacosmos") == "data_server"


async def test_each_discard_that_is_acknowledged_counts_also_what_could_only_be_kept_as_malformed(
    settings: Settings, queue: Queue, stores: Stores, database: Database
) -> None:
    (older,) = delivery("older", b"\xff").points
    older = replace(older, received_at=RECEIVED_AT - timedelta(hours=2))
    await stores.points.add([older])  # the minute of the oldest is always read
    await Builder(database, stores.summaries).catch_up()
    several = replace(delivery("several"), points=(*delivery("17").points, *delivery("several/1").points))
    await queue.publish(several)
    refusing = _Refusing(stores.points, {"17"}, also_malformed=False)
    async with writing(settings, queue, replace(stores, points=refusing)):
        await emptied(queue)
    hour = from_datetime(RECEIVED_AT) // HOUR * HOUR
    found = await stores.summaries.discarded(None, None, np.array([hour, hour + HOUR]), hour, hour + HOUR - 1)
    assert [(each["reason"], each["n"]) for each in found] == [(b"malformed", 1)]


async def test_a_batch_and_its_receipts_are_inserted_in_one_session(
    settings: Settings, queue: Queue, stores: Stores, database: Database
) -> None:
    """So MongoDB begins no insert before another that we no longer wait for has ended."""
    await database.command("profile", 2)
    await queue.publish(
        replace(delivery("several"), points=(delivery("several/0").points + delivery("several/1").points))
    )
    async with writing(settings, queue, replace(stores, receipts=_Crowded(stores.receipts))):
        await emptied(queue)
    await database.command("profile", 0)
    namespaces = [f"{database.name}.{name}" for name in ("points", "receipts")]
    found = [each async for each in database["system.profile"].find({"op": "insert", "ns": {"$in": namespaces}})]
    assert sorted(each["ns"] for each in found) == namespaces
    assert len({each["command"]["lsid"]["id"] for each in found}) == 1


async def test_writers_side_by_side_store_each_reading_once(settings: Settings, queue: Queue, stores: Stores) -> None:
    for n in range(500):
        await queue.publish(delivery(f"{n:03}"))
    small = settings.model_copy(update={"write_batch": 7})
    async with writing(small, queue, stores), writing(small, queue, stores):
        await emptied(queue)
    stored = await whole(stores.points.accepted("datacosmos", ALL, limit=1000))
    assert [point.id for point in stored] == [f"{n:03}" for n in range(500)]


async def test_what_can_never_be_written_is_put_aside_and_blocks_no_other(
    settings: Settings, queue: Queue, stores: Stores
) -> None:
    poison = replace(delivery("poison").points[0], reading=Reading(source="data_server", raw=b"x" * 17_000_000))
    for n in range(100):
        await queue.publish(delivery(str(n)))
        if n == 50:
            async with jetstream(settings) as beneath:
                await beneath.publish(f"{settings.nats_stream}.x", b"no delivery")
    refusing = _Refusing(stores.points, {"17"})
    async with writing(settings, queue, replace(stores, points=refusing)):
        await emptied(queue)
    state = await queue.state()
    assert (state.received, state.dead_lettered) == (101, 2)
    assert len(await whole(stores.points.accepted("datacosmos", ALL, limit=1000))) == 99
    fault = (await stores.points.add([poison])).refused["poison"]
    assert "BSONObj size" in fault


async def test_while_the_store_is_unavailable_messages_stay_and_are_written_once_it_is_back(
    settings: Settings, queue: Queue, stores: Stores
) -> None:
    for n in range(20):
        await queue.publish(delivery(str(n)))
    unavailable = _Unavailable(stores.points)
    brisk = settings.model_copy(update={"write_backoff_max": timedelta(milliseconds=50)})
    async with writing(brisk, queue, replace(stores, points=unavailable)):
        async with asyncio.timeout(10):
            await unavailable.tried_thrice.wait()
        assert (await queue.state()).messages == 20
        unavailable.back = True
        await emptied(queue)
    assert len(await whole(stores.points.accepted("datacosmos", ALL, limit=1000))) == 20


async def test_a_writer_stopped_while_the_store_is_unavailable_leaves_its_messages_to_the_next(
    settings: Settings, queue: Queue, stores: Stores
) -> None:
    await queue.publish(delivery("a"))
    unavailable = _Unavailable(stores.points)
    async with writing(settings, queue, replace(stores, points=unavailable)):
        async with asyncio.timeout(10):
            await unavailable.tried_thrice.wait()
    async with writing(settings, queue, stores):
        await emptied(queue)
    (stored,) = await whole(stores.points.accepted("datacosmos", ALL, limit=10))
    assert (stored.id, stored.received_at) == ("a", RECEIVED_AT)


class _Crowded(Receipts):
    """Somebody else has the session that was ended last: without one of its own, an insert would take that."""

    def __init__(self, receipts: Receipts) -> None:
        self.__dict__.update(receipts.__dict__)

    async def leave(self, receipts: Sequence[Receipt], session: Any = None) -> None:
        async with await self._collection.database.client.start_session() as another:
            await self._collection.find_one({}, session=another)
            await super().leave(receipts, session)


class _Unavailable(Points):
    """The real store behind a line that can be cut."""

    def __init__(self, points: Points) -> None:
        self.__dict__.update(points.__dict__)
        self.back = False
        self.tries = 0
        self.tried_thrice = asyncio.Event()

    async def add(self, points: Sequence[Point], written: Written | None = None) -> Written:
        if self.back:
            return await super().add(points, written)
        self.tries += 1
        if self.tries == 3:
            self.tried_thrice.set()
        raise StoreUnavailable("MongoDB is unavailable: cut off by the test")


class _Refusing(Points):
    """The real store, but some ids can never be written; or only as `malformed`."""

    def __init__(self, points: Points, refused: set[str], *, also_malformed: bool = True) -> None:
        self.__dict__.update(points.__dict__)
        self.refused, self.also_malformed = refused, also_malformed

    async def add(self, points: Sequence[Point], written: Written | None = None) -> Written:
        bare = [point.id for point in points if Reason.MALFORMED in point.verdict.reasons and not self.also_malformed]
        refused = self.refused.difference(bare)
        written = await super().add([point for point in points if point.id not in refused], written)
        written.refused |= {point.id: "the test refuses it" for point in points if point.id in refused}
        return written
