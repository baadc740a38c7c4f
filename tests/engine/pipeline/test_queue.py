# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# nats-py leaves its headers untyped.

from dataclasses import replace
from datetime import timedelta

import nats.errors
import nats.js.errors
import pytest

from datacosmos.errors import QueueFull, QueueUnavailable
from datacosmos.pipeline.queue import Queue, connect
from datacosmos.pipeline.queue.errors import queue_errors
from datacosmos.settings import Settings
from tests.queues import delivery, emptied, jetstream, nats_url, open_queue, take_all

SOON = timedelta(seconds=2)


async def test_a_delivery_comes_back_as_it_was_put_in(queue: Queue) -> None:
    sent = [delivery("a"), delivery("b", b"\xff\x00 no JSON \xed\xa0\x80"), delivery("c", b'{"time": 1}')]
    for each in sent:
        await queue.publish(each)
    assert await take_all(queue) == sent


async def test_the_same_delivery_published_twice_is_queued_once(queue: Queue) -> None:
    await queue.publish(delivery("a"))
    await queue.publish(delivery("a"))
    state = await queue.state()
    assert (state.received, state.messages) == (1, 1)


async def test_what_was_acknowledged_leaves_the_queue_but_stays_counted_as_received(queue: Queue) -> None:
    for n in range(5):
        await queue.publish(delivery(str(n)))
    assert len(await take_all(queue)) == 5
    state = await queue.state()
    assert (state.received, state.messages, state.dead_lettered) == (5, 0, 0)


async def test_sources_whose_names_begin_alike_are_told_apart_on_the_queue(queue: Queue) -> None:
    names = ["data_server", "data_server", "data_server/roof", "data_server-2"]
    for n, name in enumerate(names):
        await queue.publish(replace(delivery(str(n)), source=name))
    assert await queue.sources() == set(names)
    assert [(await queue.in_flight(name)).readings for name in ("data_server", "data_server/roof")] == [2, 1]


async def test_what_is_given_back_is_delivered_again(queue: Queue) -> None:
    await queue.publish(delivery("a"))
    async with queue.consume() as consumer:
        (taken,) = await consumer.take(10, wait=SOON)
        await taken.give_back()
        (again,) = await consumer.take(10, wait=SOON)
    assert again.delivery == taken.delivery == delivery("a")


async def test_large_messages_are_taken_a_few_at_a_time_however_many_are_asked_for(queue: Queue) -> None:
    [point] = delivery("", b"x" * (60 << 10)).points
    sizes = {"a": 7, "b": 7, "c": 7, "d": 7, "e": 7, "largest": 40, "small": 1}  # of 60 KiB
    sent = [replace(delivery(name), points=(point,) * count) for name, count in sizes.items()]
    for each in sent:
        await queue.publish(each)
    batches: list[list[str]] = []
    async with queue.consume() as consumer:
        while batch := await consumer.take(100, wait=timedelta(milliseconds=200)):
            batches.append([taken.delivery.id for taken in batch if taken.delivery])
            for taken in batch:
                await taken.acknowledge()
    assert batches == [["a", "b"], ["c", "d"], ["e"], ["largest"], ["small"]]


async def test_what_is_put_aside_goes_to_the_dead_letters_with_its_fault(queue: Queue, settings: Settings) -> None:
    async with jetstream(settings) as beneath:
        await beneath.publish(f"{settings.nats_stream}.elsewhere", b"no delivery at all")
        async with queue.consume() as consumer:
            (taken,) = await consumer.take(10, wait=SOON)
            assert taken.delivery is None
            assert taken.fault is not None
            await taken.put_aside(taken.fault)
            await emptied(queue)
        state = await queue.state()
        assert (state.received, state.messages, state.dead_lettered) == (1, 0, 1)
        dead = await beneath.get_msg(f"{settings.nats_stream}_dead", 1)
    assert dead.data == b"no delivery at all"
    assert "is no delivery" in str(dead.header)


async def test_a_full_queue_refuses_and_a_nearly_full_one_warns_before(settings: Settings) -> None:
    small = settings.model_copy(update={"queue_max_bytes": 20_000})
    async with open_queue(small) as queue:
        await queue.check_room()
        n = 0
        with pytest.raises(QueueFull, match="nearly full"):
            while True:
                await queue.check_room()
                await queue.publish(delivery(str(n)))
                n += 1
        with pytest.raises(QueueFull, match="queue is full"):
            while True:
                await queue.publish(delivery(str(n)))
                n += 1
        assert len(await take_all(queue)) == n


async def test_a_queue_that_cannot_be_reached_says_so_and_keeps_its_password(settings: Settings) -> None:
    url = "nats://someone:secret-password@127.0.0.1:1"
    with pytest.raises(QueueUnavailable, match=r"127\.0\.0\.1") as caught:
        async with connect(url, stream="s", max_bytes=1, timeout=timedelta(milliseconds=300)):
            pass
    assert "secret-password" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        *[nats.errors.ConnectionClosedError(), nats.errors.TimeoutError(), nats.errors.NoRespondersError()],
        *[nats.js.errors.NoStreamResponseError(), TimeoutError()],
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_exception_of_the_clients_is_told(error: Exception) -> None:
    with pytest.raises(QueueUnavailable, match=r"^NATS is unavailable(: [a-zJS ]+)?$"), queue_errors():
        raise error


async def test_a_wrong_password_is_named_as_the_cause(settings: Settings) -> None:
    address = nats_url(settings).rpartition("@")[2]
    with pytest.raises(QueueUnavailable, match=r"(?i)authorization"):
        async with connect(f"nats://x:y@{address}", stream="s", max_bytes=1, timeout=timedelta(seconds=3)):
            pass
