"""What the sources send, however odd, late, broken off or repeated.

Each test ends with the question whether all that was ever sent is accounted for, and nothing counted twice.
"""

# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import asyncio
import random
import secrets
from collections.abc import AsyncGenerator

import httpx
import nats
import pytest
import pytest_asyncio

from tests.process.faults.account import LEDGER, STREAM, on_the_queue
from tests.process.faults.group import PATIENCE
from tests.process.faults.line import line_to
from tests.process.faults.senders import Batch, record
from tests.process.faults.service import Service, service, until, until_asked

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("faults of sources"),
]
DEEP = b"[" * 60_000
ODD = {
    "megabytes": b'{"note": "' + b"x" * (5 << 20) + b'"}',
    "binary": bytes(range(256)) * 100,
    "deeply nested": DEEP,
    "deeply nested megabytes": b'{"a":' * (1 << 20),
    "nested in a field": b'{"time": ' + DEEP + b"}",
    "nothing": b"",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harmed(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Service]:
    async with service(tmp_path_factory.mktemp("sources"), DATACOSMOS_DATA_SERVER_TIMEOUT="4s") as harmed:
        yield harmed


async def discarded(harmed: Service, source: str, reason: str) -> int:
    data = await harmed.programs.ask(LEDGER)
    assert data is not None
    [ledger] = [each for each in data["ingestion"] if each["source"] == source]
    return {each["reason"]: each["count"] for each in ledger["discardedByReason"]}.get(reason, 0)


async def test_odd_payloads_of_the_data_server_are_kept_as_malformed_among_good_ones(harmed: Service) -> None:
    before = await discarded(harmed, "data_server", "MALFORMED")
    for odd in ODD.values():
        harmed.server.load(5)
        harmed.server.load_bodies([odd])
    harmed.server.load(5)
    await harmed.server.served_all()
    await harmed.balances()
    assert await discarded(harmed, "data_server", "MALFORMED") == before + len(ODD)


async def test_odd_records_of_sensors_are_kept_as_malformed_among_good_ones(harmed: Service) -> None:
    name = secrets.token_hex(8)
    odd = [b'{"id": "' + b"x" * (3 << 20) + b'"}', bytes(range(128, 256)), b'{"id": ' + DEEP, b"5", b'"\\ud800"']
    batch = Batch([record(f"{name}-{n}") for n in range(20)] + odd, malformed=len(odd))
    async with httpx.AsyncClient(base_url=harmed.programs.url, timeout=PATIENCE) as client:
        answer = await client.post("/sensors", content=b"\n".join(batch.records))
    assert (answer.status_code, answer.json()["discarded"]) == (202, {"malformed": len(odd)})
    harmed.sensors.count(batch)
    await harmed.balances()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (DEEP, 400),
        (b"[" * (3 << 20), 400),
        (bytes(range(256)) * 4096, 400),
        (b"[" + b"1," * (1 << 20) + b"1]", 400),
        (b" " * (4 << 20) + b"{}", 413),
    ],
    ids=["deeply nested", "deeply nested megabytes", "binary megabytes", "a million records", "too large"],
)
async def test_bodies_that_cannot_be_taken_are_refused_and_leave_nothing(
    harmed: Service, body: bytes, status: int
) -> None:
    before = await on_the_queue(harmed.programs)
    async with httpx.AsyncClient(base_url=harmed.programs.url, timeout=PATIENCE) as client:
        answer = await client.post("/sensors", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert await on_the_queue(harmed.programs) == before


async def test_a_data_server_that_drips_is_cut_off_and_sensors_feel_nothing_of_it(harmed: Service) -> None:
    async with harmed.sensors.at_work():
        dripping = asyncio.create_task(harmed.server.drip())
        await until(lambda: harmed.server.dripped > 0)
        batches = harmed.sensors.batches
        await until(lambda: harmed.sensors.batches > batches + 5)
        assert not dripping.done()
        await dripping
    harmed.server.load(10)
    await harmed.server.served_all()
    await harmed.balances()


async def test_one_poison_message_among_a_thousand_is_put_aside_and_the_others_are_stored(harmed: Service) -> None:
    served = len(harmed.server.served)
    harmed.server.load(999)
    await until(lambda: len(harmed.server.served) > served + 300)
    client = await nats.connect(harmed.programs.endpoints.nats_url or "")
    await client.jetstream().publish(f"{STREAM}.data_server.1", b"\xc1 is no delivery")
    await client.close()
    harmed.dead_lettered += 1
    await harmed.server.served_all()
    await harmed.balances()


async def test_a_push_whose_answer_was_lost_is_counted_once_under_its_key(harmed: Service) -> None:
    batch, key = readings(), secrets.token_hex(8)
    await lost_answer(harmed, batch, key)
    assert (await harmed.sensors.push(batch, key))["readings"] == len(batch.records)
    await harmed.balances()


async def test_a_push_sent_again_after_the_queue_forgot_its_key_changes_nothing(harmed: Service) -> None:
    batch, key = readings(), secrets.token_hex(8)
    first = await harmed.sensors.push(batch, key)
    await harmed.balances()
    before, _ = await on_the_queue(harmed.programs)
    await harmed.programs.kill("nats-server")  # the keys of messages that have left the queue go with it
    assert await harmed.sensors.push(batch, key, counts=False) == first
    assert await on_the_queue(harmed.programs) > (before, 0)
    await harmed.balances()


async def test_a_push_whose_answer_was_lost_repeats_itself_without_a_key(harmed: Service) -> None:
    batch = readings()
    await lost_answer(harmed, batch, None)
    harmed.sensors.count(batch)
    await harmed.balances()
    await harmed.sensors.push(Batch(batch.records, duplicates=len(batch.records)))
    await harmed.balances()


def readings() -> Batch:
    name = secrets.token_hex(8)
    return Batch([record(name, at=f"2024-01-01T00:00:{second:02}") for second in range(20)])


async def lost_answer(harmed: Service, batch: Batch, key: str | None) -> None:
    """Push through a line that is cut once the readings are durable, before the answer comes through."""
    before, _ = await on_the_queue(harmed.programs)

    async def queued() -> bool:
        return (await on_the_queue(harmed.programs))[0] > before

    async with line_to(harmed.programs.url) as (line, url), httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        line.answers_lost.set()
        headers = {"Idempotency-Key": key} if key else {}
        pushing = asyncio.create_task(client.post("/sensors", content=batch.body, headers=headers))
        await until_asked(queued)
        await line.cut()
        with pytest.raises(httpx.TransportError):
            await pushing


@pytest.mark.parametrize("order", range(3))
async def test_in_whatever_order_readings_arrive_each_is_accepted_once_and_its_repetitions_are_duplicates(
    harmed: Service, order: int
) -> None:
    name, chance = secrets.token_hex(8), random.Random(order)
    times = [f"2024-01-01T00:{minute:02}:00" for minute in range(30)]
    same = [f"2024-01-01T0{hours}:{minute:02}:00+0{hours}:00" for minute in range(30) for hours in (1, 2)]
    records = [record(name, 50, at) for at in times + same]
    records += [record(name, "hot", at) for at in times]
    chance.shuffle(records)
    batches = [records[n : n + 10] for n in range(0, len(records), 10)]
    await asyncio.gather(*(harmed.sensors.push(Batch(batch)) for batch in batches))
    harmed.sensors.accepted -= 90
    harmed.sensors.duplicates += 60
    harmed.sensors.malformed += 30
    await harmed.balances()
    data = await harmed.programs.ask("query ($id: String!) { sensorReadings(sensorId: $id) { time } }", id=name)
    assert data is not None
    assert [each["time"] for each in data["sensorReadings"]] == [f"{at}Z" for at in times]
