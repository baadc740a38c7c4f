"""MongoDB and NATS frozen, killed, restarted and cut off under a service at work.

Each test ends with the question whether all that was ever sent is accounted for, and nothing counted twice.
"""

import os
import signal
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from tests.process.faults.account import on_the_queue, written_but_queued
from tests.process.faults.group import ENGINES, PATIENCE
from tests.process.faults.service import Service, service, until_asked
from tests.processes import Watched

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("faults of engines"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harmed(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Service]:
    async with service(tmp_path_factory.mktemp("engines_unavailable")) as harmed:
        yield harmed


async def test_while_mongodb_is_frozen_readings_are_taken_and_none_leaves_the_queue(harmed: Service) -> None:
    async with harmed.under_load(), harmed.programs.frozen("mongod"):
        await harmed.more_taken()  # what MongoDB had confirmed before is off the queue by now
        messages, queued = await on_the_queue(harmed.programs)
        await harmed.more_taken()
        messages_later, queued_later = await on_the_queue(harmed.programs)
        assert queued_later - queued == messages_later - messages > 0


@pytest.mark.parametrize("length", [3, 3000])
async def test_a_series_sent_again_after_mongodb_was_frozen_is_the_same_series(harmed: Service, length: int) -> None:
    """What the first try left for MongoDB to do, it does once it is thawed, while the second is on its way."""
    body = {"name": f"frozen {length}", "start": 0, "interval": 1, "values": [0.5] * length}
    headers = {"Idempotency-Key": f"frozen {length}"}
    async with httpx.AsyncClient(base_url=harmed.programs.url, timeout=PATIENCE, headers=headers) as client:
        async with harmed.programs.frozen("mongod"):
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/series", json=body, timeout=1)
        answer = await client.post("/series", json=body)
        while answer.status_code == 503:
            answer = await client.post("/series", json=body)
        again = await client.post("/series", json=body)
        assert (answer.status_code, again.status_code) == (201, 201)
        listed = (await client.get("/series")).json()["series"]
    assert again.json() == answer.json()
    assert [each["id"] for each in listed if each["name"] == body["name"]] == [answer.json()["id"]]


async def test_a_mongodb_killed_while_it_was_frozen_had_confirmed_nothing_that_is_lost(harmed: Service) -> None:
    async with harmed.under_load(), harmed.programs.frozen("mongod"):
        await harmed.more_taken()
        await harmed.programs.kill("mongod")


async def test_while_nats_is_frozen_nothing_is_taken_and_then_all_goes_on(harmed: Service) -> None:
    async with harmed.under_load(), harmed.programs.frozen("nats-server"):
        await harmed.more_refused()
        taken = harmed.sensors.batches, len(harmed.server.served)
        await harmed.more_refused()
        assert (harmed.sensors.batches, len(harmed.server.served)) == taken


async def test_both_engines_frozen_and_thawed_lose_nothing(harmed: Service) -> None:
    async with harmed.under_load(), harmed.programs.frozen(*ENGINES):
        await harmed.more_refused()


@pytest.mark.parametrize("engines", [("mongod",), ("nats-server",), ENGINES], ids=" and ".join)
async def test_engines_stopped_in_order_are_started_again_and_lose_nothing(
    harmed: Service, engines: tuple[str, ...]
) -> None:
    async with harmed.under_load():
        stopped = [Watched(harmed.programs.pid(name)) for name in engines]
        for engine in stopped:
            os.kill(engine.pid, signal.SIGTERM)
        for engine in stopped:
            await engine.ended()


async def some_written_but_queued(harmed: Service) -> None:
    """Returns once that has lasted for longer than an acknowledgement under way does."""
    for _ in range(3):
        await until_asked(lambda: _written_but_queued(harmed))


async def _written_but_queued(harmed: Service) -> bool:
    return await written_but_queued(harmed.programs) > 0


async def test_a_batch_that_was_written_but_never_confirmed_is_written_once(harmed: Service) -> None:
    async with harmed.under_load():
        harmed.mongodb.answers_lost.set()
        await some_written_but_queued(harmed)
        await harmed.mongodb.cut()
        await harmed.more_taken()
        await harmed.mongodb.mend()


async def test_a_message_that_was_queued_but_never_confirmed_is_queued_once(harmed: Service) -> None:
    async with harmed.under_load():
        before, _ = await on_the_queue(harmed.programs)
        harmed.nats.answers_lost.set()

        async def more_queued() -> bool:
            return (await on_the_queue(harmed.programs))[0] > before

        await until_asked(more_queued)
        await harmed.nats.cut()
        await harmed.more_refused()
        await harmed.nats.mend()


async def test_a_batch_whose_acknowledgement_was_lost_is_delivered_again_and_changes_nothing(harmed: Service) -> None:
    async with harmed.under_load():
        async with harmed.programs.frozen("mongod"):
            await harmed.more_taken()  # the writer has a batch in hand by now
            harmed.nats.words_lost.set()
        await some_written_but_queued(harmed)
        await harmed.nats.cut()
        await harmed.nats.mend()


async def test_both_engines_cut_off_at_once_lose_nothing(harmed: Service) -> None:
    async with harmed.under_load():
        await harmed.mongodb.cut()
        await harmed.nats.cut()
        await harmed.more_refused()
        await harmed.mongodb.mend()
        await harmed.nats.mend()
