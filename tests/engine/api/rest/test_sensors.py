# pyright: reportUnknownMemberType=false
# nats-py leaves its keyword arguments untyped.

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta
from operator import itemgetter
from typing import Any

import httpx
import psutil
import pytest

from datacosmos.api.intake import Intake
from datacosmos.auth.issuers import Role
from datacosmos.pipeline.ledger import ledgers
from datacosmos.pipeline.queue import Queue
from datacosmos.pipeline.writer import Writer
from datacosmos.settings import Settings
from datacosmos.sources.registry import configured
from datacosmos.store.mongo.connection import connect
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, app_of, ask, bearer, client_of, token
from tests.queues import emptied, jetstream, open_queue, take_all

ADA, BOB = token(Role.USER, subject="ada"), token(Role.USER, subject="bob")
RECEIPT = "query ($id: ID!) { receipt(deliveryId: $id) { readings accepted discardedByReason { reason count } } }"
LEDGER = "{ ingestion { source messages received accepted discarded inFlight deadLettered oldestInFlight } }"


def record(name: str = "a1", **content: Any) -> dict[str, Any]:
    measured = {"temperature_f": 90, "time_of_measurement": "2019-06-24T15:00:00"} | content
    return {"id": name, "type": "Sensor", "content": measured}


@pytest.fixture
async def queue(settings: Settings) -> AsyncGenerator[Queue]:
    async with open_queue(settings) as queue:
        yield queue


@pytest.fixture
async def client(settings: Settings, stores: Stores, queue: Queue) -> AsyncGenerator[httpx.AsyncClient]:
    intake = Intake(queue.publish, lambda: ledgers(configured(settings), queue, stores.points, stores.receipts))
    async with client_of(app_of(settings, stores, intake=intake)) as client:
        yield client


@pytest.fixture
async def written(settings: Settings, stores: Stores, queue: Queue) -> AsyncGenerator[None]:
    """A writer at work."""
    writer = Writer(settings, queue=queue, stores=stores)
    task = asyncio.create_task(writer.run())
    yield
    writer.stop()
    await task


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(record()),
        json.dumps([record("a1"), record("a2")]),
        json.dumps(record("a1")) + "\n" + json.dumps(record("a2")) + "\n\n",
    ],
    ids=["a record", "an array", "lines"],
)
async def test_readings_are_taken_in_each_form_as_one_message(
    client: httpx.AsyncClient, queue: Queue, body: str
) -> None:
    answer = await client.post("/sensors", content=body)
    assert answer.status_code == 202
    taken = answer.json()
    assert taken["readings"] == taken["accepted"] == body.count("Sensor")
    assert (await queue.state()).messages == 1


async def test_a_long_push_is_parsed_in_another_process_and_taken_like_a_short_one(
    client: httpx.AsyncClient, queue: Queue
) -> None:
    records = [*(record(f"a{n}") for n in range(1000)), 5]
    before = set(psutil.Process().children())
    for body in (json.dumps(records).encode(), gzip.compress(json.dumps(records).encode())):
        headers = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f") else {}
        answer = await client.post("/sensors", content=body, headers=headers)
        assert answer.status_code == 202
        assert (answer.json()["accepted"], answer.json()["discarded"]) == (1000, {"malformed": 1})
    assert set(psutil.Process().children()) - before
    assert (await queue.state()).messages == 2
    broken = await client.post("/sensors", content=json.dumps(records).encode()[:-1])
    assert broken.status_code == 400
    assert "breaks off" in broken.text


async def test_malformed_records_among_others_are_taken_and_counted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sensors", json=[record(), 5, {"id": "x"}, record(temperature_f="hot")])
    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["discarded"]) == (1, {"malformed": 3})


@pytest.mark.parametrize("body", ["{}", "[{}, {}]", "{}\n{}"], ids=["a record", "an array", "lines"])
async def test_what_json_forbids_is_one_record_s_fault_and_kept_as_it_came(
    client: httpx.AsyncClient, queue: Queue, body: str
) -> None:
    wrong = json.dumps(record(temperature_f=float("nan")))
    answer = await client.post("/sensors", content=body.replace("{}", wrong, 1).replace("{}", json.dumps(record())))
    assert (answer.status_code, answer.json()["discarded"]) == (202, {"malformed": 1})
    (delivery,) = await take_all(queue)
    assert delivery.points[0].reading.raw == wrong.encode()


@pytest.mark.parametrize("body", ["", "no JSON", "[1, 2", "[]", "{]\n{]"])
async def test_a_body_that_is_no_json_is_refused_and_nothing_of_it_taken(
    client: httpx.AsyncClient, queue: Queue, body: str
) -> None:
    answer = await client.post("/sensors", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (await queue.state()).messages == 0


async def test_too_many_records_and_too_large_bodies_are_refused(client: httpx.AsyncClient, queue: Queue) -> None:
    assert (await client.post("/sensors", json=[1] * 10_001)).status_code == 400
    assert (await client.post("/sensors", content=b" " * (4 << 20) + b"5")).status_code == 413
    bomb = gzip.compress(b" " * (5 << 20))
    assert (await client.post("/sensors", content=bomb, headers={"Content-Encoding": "gzip"})).status_code == 413
    assert (await queue.state()).messages == 0


async def test_the_largest_body_there_may_be_is_one_message_and_all_of_it_is_written(
    client: httpx.AsyncClient, queue: Queue, written: None
) -> None:
    body = b"\n".join([b'{"id":"%s"}' % (b"x" * 408)] * 10_000)
    assert len(body) > 0.99 * (4 << 20)
    answer = await client.post("/sensors", content=body)
    assert (answer.status_code, answer.json()["discarded"]) == (202, {"malformed": 10_000})
    await emptied(queue)
    assert (await queue.state()).dead_lettered == 0


async def test_the_receipt_tells_what_became_of_a_delivery_to_its_sender_and_administrators(
    client: httpx.AsyncClient, queue: Queue, written: None
) -> None:
    batch = [record("a"), record("a"), record("b"), "rubbish"]
    delivery_id = (await client.post("/sensors", json=batch, headers=bearer(ADA))).json()["deliveryId"]
    await emptied(queue)
    expected = {
        "readings": 4,
        "accepted": 2,
        "discardedByReason": [{"reason": "DUPLICATE", "count": 1}, {"reason": "MALFORMED", "count": 1}],
    }
    for who in (ADA, ADMIN):
        receipt = (await ask(client, RECEIPT, who, id=delivery_id))["data"]["receipt"]
        receipt["discardedByReason"].sort(key=itemgetter("reason"))
        assert receipt == expected
    for who in (BOB, None):
        assert (await ask(client, RECEIPT, who, id=delivery_id))["data"]["receipt"] is None


async def test_a_resend_under_the_same_key_changes_nothing(
    client: httpx.AsyncClient, queue: Queue, stores: Stores, written: None
) -> None:
    headers = {"Idempotency-Key": "monday", **bearer(ADA)}
    first = await client.post("/sensors", json=[record()], headers=headers)
    await emptied(queue)
    again = await client.post("/sensors", json=[record()], headers=headers)
    others = await client.post("/sensors", json=[record()], headers=headers | bearer(BOB))
    await emptied(queue)
    assert first.json()["deliveryId"] == again.json()["deliveryId"] != others.json()["deliveryId"]
    assert (await stores.receipts.total("sensors")).readings == 2


async def test_a_resend_under_the_same_key_changes_nothing_even_after_the_queue_has_forgotten_it(
    client: httpx.AsyncClient, queue: Queue, settings: Settings, stores: Stores, written: None
) -> None:
    headers = {"Idempotency-Key": "monday", **bearer(ADA)}
    first = await client.post("/sensors", json=[record(), "rubbish"], headers=headers)
    await emptied(queue)
    await remember_ids_for_a_moment(settings)
    async with asyncio.timeout(30):
        while (await queue.state()).received == 1:
            again = await client.post("/sensors", json=[record(), "rubbish"], headers=headers)
            assert first.json() == again.json()
    await emptied(queue)
    _, sensors = (await ask(client, LEDGER, ADMIN))["data"]["ingestion"]
    assert (sensors["messages"], sensors["received"], sensors["accepted"], sensors["discarded"]) == (2, 2, 1, 1)


async def remember_ids_for_a_moment(settings: Settings) -> None:
    """Of messages, instead of for ten minutes."""
    async with jetstream(settings) as beneath:
        config = (await beneath.stream_info(settings.nats_stream)).config
        await beneath.update_stream(config, duplicate_window=0.1)


async def test_other_readings_under_a_key_used_before_are_not_taken_for_stored(
    client: httpx.AsyncClient, queue: Queue, stores: Stores, written: None
) -> None:
    headers = {"Idempotency-Key": "monday", **bearer(ADA)}
    first = await client.post("/sensors", json=[record("a1")], headers=headers)
    others = await client.post("/sensors", json=[record("a2"), record("a3")], headers=headers)
    await emptied(queue)
    assert first.json()["deliveryId"] != others.json()["deliveryId"]
    assert (await stores.receipts.total("sensors")).readings == 3


async def test_readings_are_taken_while_mongodb_is_unavailable_and_refused_while_the_queue_is(
    settings: Settings, stores: Stores, queue: Queue
) -> None:
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true"
    async with connect(nowhere, "unavailable", timedelta(milliseconds=100)) as database:
        unavailable = Stores.of(database)
        intake = Intake(
            queue.publish, lambda: ledgers(configured(settings), queue, unavailable.points, unavailable.receipts)
        )
        async with client_of(app_of(settings, unavailable, intake=intake)) as client:
            answer = await client.post("/sensors", json=[record()], headers={"Idempotency-Key": "monday"})
    assert answer.status_code == 202
    assert (await queue.state()).messages == 1
    async with client_of(app_of(settings, stores)) as client:
        refused = await client.post("/sensors", json=[record()])
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


async def test_what_is_taken_shows_in_the_metrics(client: httpx.AsyncClient) -> None:
    async def counted() -> Counter[str]:
        lines = (await client.get("/metrics")).text.splitlines()
        return Counter(
            {
                name: int(float(value))
                for name, value in (line.rsplit(maxsplit=1) for line in lines)
                if 'source="sensors"' in name
            }
        )

    before = await counted()
    await client.post("/sensors", json=[record(), record("a2"), "rubbish"])
    assert await counted() - before == {
        'datacosmos_received_total{source="sensors"}': 3,
        'datacosmos_judged_total{source="sensors",status="accepted"}': 2,
        'datacosmos_judged_total{source="sensors",status="discarded"}': 1,
    }


async def test_without_a_key_a_resend_becomes_duplicates_that_name_the_winner(
    client: httpx.AsyncClient, queue: Queue, written: None
) -> None:
    winner = (await client.post("/sensors", json=[record()])).json()["deliveryId"]
    await emptied(queue)
    await client.post("/sensors", json=[record(), record(time_of_measurement="2019-06-24T17:00:00+02:00")])
    await emptied(queue)
    query = '{ discards(source: "sensors") { reason duplicateOf } }'
    discards = (await ask(client, query, ADMIN))["data"]["discards"]
    assert discards == [{"reason": "DUPLICATE", "duplicateOf": f"{winner}/00000"}] * 2


async def test_readings_of_a_sensor_are_answered_to_any_valid_token(
    client: httpx.AsyncClient, queue: Queue, written: None
) -> None:
    await client.post("/sensors", json=[record(), record(temperature_f=32, time_of_measurement="2019-06-24T16:00:00Z")])
    await emptied(queue)
    query = '{ sensorReadings(sensorId: "a1") { sensorId time temperatureC temperatureF } }'
    readings = (await ask(client, query, BOB))["data"]["sensorReadings"]
    assert [(each["time"], each["temperatureF"]) for each in readings] == [
        ("2019-06-24T15:00:00Z", 90), ("2019-06-24T16:00:00Z", 32),
    ]  # fmt: skip
    assert readings[1]["temperatureC"] == 0
    refused = await ask(client, query)
    assert refused["data"]["sensorReadings"] is None
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_ledger_balances_at_every_stage(client: httpx.AsyncClient, queue: Queue, settings: Settings) -> None:
    await client.post("/sensors", json=[record("a"), record("a"), "rubbish"])
    _, sensors = (await ask(client, LEDGER, ADMIN))["data"]["ingestion"]
    assert (sensors["received"], sensors["inFlight"], sensors["messages"]) == (3, 3, 1)
    assert sensors["oldestInFlight"] is not None


async def test_the_ledger_counts_what_was_written_by_its_receipts(
    client: httpx.AsyncClient, queue: Queue, written: None
) -> None:
    await client.post("/sensors", json=[record("a"), record("a"), "rubbish"])
    await emptied(queue)
    data_server, sensors = (await ask(client, LEDGER, ADMIN))["data"]["ingestion"]
    assert (sensors["received"], sensors["accepted"], sensors["discarded"], sensors["inFlight"]) == (3, 1, 2, 0)
    assert data_server["received"] == 0
    assert sensors["messages"] == (await queue.state()).received


async def test_a_full_queue_is_said_to_be_full_and_nothing_taken(settings: Settings, stores: Stores) -> None:
    small = settings.model_copy(update={"queue_max_bytes": 20_000})
    async with open_queue(small) as queue:
        intake = Intake(queue.publish, lambda: ledgers(configured(settings), queue, stores.points, stores.receipts))
        async with client_of(app_of(small, stores, intake=intake)) as client:
            answer = await client.post("/sensors", json=[record(str(n)) for n in range(200)])
        assert (answer.status_code, (await queue.state()).messages) == (503, 0)
        assert "Retry-After" in answer.headers


async def test_writing_without_a_token_can_be_turned_off(settings: Settings, stores: Stores, queue: Queue) -> None:
    closed = settings.model_copy(update={"open_ingest": False})
    intake = Intake(queue.publish, lambda: ledgers(configured(settings), queue, stores.points, stores.receipts))
    async with client_of(app_of(closed, stores, intake=intake)) as client:
        assert (await client.post("/sensors", json=[record()])).status_code == 401
        assert (await client.post("/sensors", json=[record()], headers=bearer(ADA))).status_code == 202
