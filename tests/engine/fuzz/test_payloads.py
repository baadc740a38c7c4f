"""Whatever bytes a data server or a sensor sends: they are read, judged, queued, stored, and shown as they came."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given

from datacosmos.domain.points import Delivery
from datacosmos.pipeline.queue import Queue
from datacosmos.settings import Settings
from datacosmos.sources import data_server, sensors
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, app_of, ask, client_of
from tests.engine.fuzz.conftest import bounded
from tests.engine.fuzz.test_bodies import RECORD, bodies
from tests.queues import open_queue, take_all

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVED = {"time": int(NOW.timestamp()), "value": [218, 202, 115, 191], "tags": ["a"]}
DISCARDS = "{ discards { reason reasons faults tags series time value raw rawBase64 } }"


def polled(bodies: Sequence[bytes]) -> list[Delivery]:
    [source] = data_server.configured(Settings.model_construct())
    return [source.receive([body], delivery_id=f"d{n}", received_at=NOW) for n, body in enumerate(bodies)]


def streamed(bodies: Sequence[bytes]) -> list[Delivery]:
    return [sensors.source(Settings.model_construct()).receive(bodies, delivery_id="s", received_at=NOW)]


@pytest.mark.parametrize(("whole", "receive"), [(SERVED, polled), (RECORD, streamed)], ids=["data server", "sensors"])
async def test_any_payload_can_be_stored_and_is_shown_as_it_came(
    settings: Settings, stores: Stores, whole: object, receive: Callable[[Sequence[bytes]], list[Delivery]]
) -> None:
    sent: list[bytes] = []

    @bounded(400)
    @given(bodies(whole))
    def collect(body: bytes) -> None:
        sent.append(body)

    collect()
    async with open_queue(settings) as queue:
        deliveries = await through(queue, receive(sent))
    points = [point for delivery in deliveries for point in delivery.points]
    assert [point.reading.raw for point in points] == [body[: data_server.MAX_BODY] for body in sent]
    written = await stores.points.add(points)
    assert written.refused == {}
    assert len(written.stored) == len(sent)
    async with client_of(app_of(settings, stores)) as client:
        await shown(client, {point.reading.raw for point in written.stored if point.verdict.reasons})


async def through(queue: Queue, deliveries: Sequence[Delivery]) -> list[Delivery]:
    for delivery in deliveries:
        await queue.publish(delivery)
    taken = await take_all(queue)
    assert taken == list(deliveries)
    return taken


async def shown(client: httpx.AsyncClient, raws: set[bytes]) -> None:
    discards = (await ask(client, DISCARDS, ADMIN))["data"]["discards"]
    assert {base64.b64decode(each["rawBase64"]) for each in discards} == raws
    assert all(each["faults"] for each in discards if each["reason"] == "MALFORMED")
