import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import structlog

from datacosmos.domain.points import Delivery, Reason
from datacosmos.pipeline.poller import Poller, polling
from datacosmos.pipeline.queue import Queue
from datacosmos.retries import Backoff
from datacosmos.settings import Settings
from datacosmos.sources.registry import configured
from tests.queues import RECEIVED_AT, delivery, open_queue, take_all
from tests.scripted_server import (
    Act,
    ScriptedServer,
    answer,
    broken_off,
    close,
    drip,
    hang,
    point,
)

NOW = int(RECEIVED_AT.timestamp())


@pytest.fixture
def brisk(settings: Settings, data_server: ScriptedServer) -> Settings:
    """Polls often, waits for little."""
    return settings.model_copy(
        update={
            "data_server_url": data_server.url,
            "data_server_timeout": timedelta(milliseconds=300),
            "poll_interval": timedelta(milliseconds=20),
            "poll_backoff_max": timedelta(milliseconds=50),
            "nats_timeout": timedelta(milliseconds=300),
        }
    )


@asynccontextmanager
async def poller_at(settings: Settings, queue: Queue) -> AsyncGenerator[Poller]:
    """A running poller whose clock stands still at RECEIVED_AT."""
    async with polling(configured(settings), queue, grace=settings.stop_grace, clock=lambda: RECEIVED_AT) as [poller]:
        yield poller


async def polled(settings: Settings, queue: Queue, server: ScriptedServer, *acts: Act) -> list[Delivery]:
    server.play(*acts)
    async with poller_at(settings, queue), asyncio.timeout(20):
        await server.ran_out.wait()
    return await take_all(queue)


def reasons(deliveries: Iterable[Delivery]) -> list[tuple[Reason, ...]]:
    return [point.verdict.reasons for delivery in deliveries for point in delivery.points]


def events(logs: Iterable[Mapping[str, Any]]) -> list[str]:
    return [line["event"] for line in logs]


async def test_each_point_is_queued_with_its_verdict_in_the_order_served(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    deliveries = await polled(
        brisk, queue, data_server,
        point(NOW), point(NOW - 3600), point(NOW - 3601), point(NOW, tags=["suspect", "system"]), answer(b"rubbish"),
    )  # fmt: skip
    assert reasons(deliveries) == [(), (), (Reason.TOO_OLD,), (Reason.SYSTEM, Reason.SUSPECT), (Reason.MALFORMED,)]
    assert [delivery.received_at for delivery in deliveries] == [RECEIVED_AT] * 5
    assert len({delivery.id for delivery in deliveries}) == 5


async def test_two_points_alike_in_everything_are_two_points(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    assert len(await polled(brisk, queue, data_server, point(NOW), point(NOW))) == 2


@pytest.mark.parametrize(
    "fault",
    [hang, close, answer(b"", "500 Oops"), answer(b"", "302 Found", "Location: /x\r\n"), answer(b"", "204 None")],
    ids=["hangs", "closes", "answers 500", "redirects", "answers 204"],
)
async def test_a_failing_server_is_asked_again_until_it_answers(
    brisk: Settings, queue: Queue, data_server: ScriptedServer, fault: Act
) -> None:
    with structlog.testing.capture_logs() as logs:
        deliveries = await polled(brisk, queue, data_server, fault, fault, fault, point(NOW))
    assert reasons(deliveries) == [()]
    assert events(logs) == ["data server is down", "data server is back"]


async def test_a_server_that_refuses_is_found_again_and_its_state_shown(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    await data_server.stop()
    async with asyncio.timeout(20), poller_at(brisk, queue) as poller:
        while poller.fault is None:
            await asyncio.sleep(0)
        await data_server.start()
        data_server.play(point(NOW))
        await data_server.ran_out.wait()
        assert poller.fault is None
    assert len(await take_all(queue)) == 1


@pytest.mark.parametrize(
    ("act", "raw"),
    [
        (broken_off(b'{"time": 17', 50), b'{"time": 17'),
        (broken_off(b"", 50), b""),
        (answer(b"x" * 70_000), b"x" * 65_536),
    ],
    ids=["a part", "nothing", "too much"],
)
async def test_a_served_body_that_is_not_whole_is_kept_as_malformed(
    brisk: Settings, queue: Queue, data_server: ScriptedServer, act: Act, raw: bytes
) -> None:
    first, second = await polled(brisk, queue, data_server, act, point(NOW))
    assert first.points[0].verdict.reasons == (Reason.MALFORMED,)
    assert first.points[0].reading.raw == raw
    assert len(first.points[0].reading.faults) == 1
    assert second.points[0].verdict.reasons == ()


async def test_a_server_that_breaks_off_every_body_is_asked_again_as_after_an_error_and_each_reading_kept(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    slow = brisk.model_copy(update={"poll_interval": timedelta(hours=1), "poll_backoff_max": timedelta(hours=1)})
    data_server.play(*[broken_off(b'{"time": 17', 50)] * 3)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(20), poller_at(slow, queue) as poller:
            while poller.fault is None:
                await asyncio.sleep(0)
            assert data_server.requests == 1
            assert poller.fault.startswith("the body broke off")
    assert reasons(await take_all(queue)) == [(Reason.MALFORMED,)]
    assert events(logs) == ["data server is down"]


@pytest.mark.parametrize("body", [b"<html>busy</html>", b""])
async def test_a_server_that_answers_all_with_rubbish_is_asked_again_as_after_an_error_and_each_reading_kept(
    brisk: Settings, queue: Queue, data_server: ScriptedServer, body: bytes
) -> None:
    slow = brisk.model_copy(update={"poll_interval": timedelta(hours=1), "poll_backoff_max": timedelta(hours=1)})
    data_server.play(*[answer(body)] * 12)
    async with asyncio.timeout(20), poller_at(slow, queue) as poller:
        while poller.fault is None and not data_server.ran_out.is_set():
            await asyncio.sleep(0)
        assert data_server.requests == 10
        assert poller.fault == "the last 10 readings were malformed"
    assert reasons(await take_all(queue)) == [(Reason.MALFORMED,)] * 10


async def test_a_server_is_well_again_with_the_first_reading_that_is_not_malformed(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    with structlog.testing.capture_logs() as logs:
        deliveries = await polled(brisk, queue, data_server, *[answer(b"rubbish")] * 12, *[point(NOW)] * 2)
    assert reasons(deliveries) == [(Reason.MALFORMED,)] * 12 + [()] * 2
    assert events(logs) == ["data server is down", "data server is back"]


async def test_the_pause_grows_while_bodies_break_off_and_ends_with_a_whole_one(
    brisk: Settings, queue: Queue, data_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []

    def note(_: Backoff, count: int) -> float:
        failures.append(count)
        return 0.01

    monkeypatch.setattr("datacosmos.retries.Backoff.seconds", note)
    broken, nothing = broken_off(b'{"time": 17', 50), answer(b"", "404 Not Found")
    with structlog.testing.capture_logs() as logs:
        deliveries = await polled(brisk, queue, data_server, *[broken] * 3, *[point(NOW)] * 2, nothing, broken)
    assert len(deliveries) == 6
    assert failures == [0, 1, 2, 0]
    assert events(logs)[:2] == ["data server is down", "data server is back"]


async def test_a_body_that_drips_in_is_cut_off_and_kept(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    first, second = await polled(brisk, queue, data_server, drip, point(NOW))
    assert first.points[0].reading.raw.startswith(b"{{{")
    assert first.points[0].verdict.reasons == (Reason.MALFORMED,)
    assert second.points[0].verdict.reasons == ()


async def test_a_run_ends_at_its_limit_and_the_next_goes_on(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    few = brisk.model_copy(update={"poll_limit": 10})
    assert len(await polled(few, queue, data_server, *[point(NOW)] * 35)) == 35


async def test_nothing_is_asked_for_while_the_queue_is_nearly_full(
    brisk: Settings, data_server: ScriptedServer
) -> None:
    small = brisk.model_copy(update={"queue_max_bytes": 20_000})
    async with open_queue(small) as queue, asyncio.timeout(20):
        data_server.play(*[point(NOW)] * 200)
        async with poller_at(small, queue) as poller:
            while poller.paused is None:
                await asyncio.sleep(0.001)
            assert (await queue.state()).messages == data_server.requests < 200
            taken: list[Delivery] = []
            while not data_server.ran_out.is_set():
                taken += await take_all(queue)
        taken += await take_all(queue)
    assert len(taken) == 200


async def test_a_reading_in_hand_when_the_queue_fills_up_is_kept_and_queued_later(
    brisk: Settings, data_server: ScriptedServer
) -> None:
    small = brisk.model_copy(update={"queue_max_bytes": 200_000})
    async with open_queue(small) as queue, asyncio.timeout(20):
        for n, size in enumerate((60_000, 60_000, 50_000)):
            await queue.publish(delivery(str(n), b"x" * size))
        data_server.play(answer(b"y" * 65_536), answer(b"z" * 65_536))
        async with poller_at(small, queue) as poller:
            while poller.paused != "the queue is full":
                await asyncio.sleep(0.001)
            assert data_server.requests == 1
            taken = await take_all(queue)
            await data_server.ran_out.wait()
        taken += await take_all(queue)
    assert [each.points[0].reading.raw[:1] for each in taken] == [b"x", b"x", b"x", b"y", b"z"]


async def test_a_clean_stop_lets_the_running_drain_finish(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    patient = brisk.model_copy(update={"stop_grace": timedelta(seconds=10)})
    reached = asyncio.Event()

    async def note(writer: asyncio.StreamWriter) -> None:
        reached.set()
        await point(NOW)(writer)

    data_server.play(note, *[point(NOW)] * 300)
    async with asyncio.timeout(20), polling(configured(patient), queue, grace=patient.stop_grace):
        await reached.wait()
    assert data_server.script == []
    assert len(await take_all(queue)) == 301


async def test_a_stop_that_may_not_wait_ends_after_the_reading_in_hand(
    brisk: Settings, queue: Queue, data_server: ScriptedServer
) -> None:
    hasty = brisk.model_copy(update={"stop_grace": timedelta(milliseconds=1)})
    data_server.play(*[point(NOW)] * 2000)
    async with asyncio.timeout(20), poller_at(hasty, queue):
        while data_server.requests < 5:
            await asyncio.sleep(0.001)
    assert data_server.script
    assert len(await take_all(queue)) == 2000 - len(data_server.script)
