"""What a source takes that nobody has thought of yet: a module, and its line in the registry."""

import inspect
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from datacosmos.domain.rules import malformed, too_old
from datacosmos.pipeline.queue import Queue
from datacosmos.settings import Settings
from datacosmos.sources import registry
from datacosmos.sources.source import Parsed, Pushed, Source
from tests.engine.sources import made_up
from tests.engine.sources.conftest import serving_whole
from tests.scripted_server import answer, broken_off, scripted_server

NOW = Parsed(time=datetime.now(UTC), value=1.0)
TIDES = '{ points(series: "tides") { value } }'
DISCARDS = '{ discards(source: "tide_gauge") { reason faults raw } }'


async def test_a_made_up_source_of_forty_lines_is_polled_judged_queried_counted_and_its_ledger_balances(
    brisk: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(inspect.getsource(made_up).splitlines()) + 1 < 40
    now = int(time.time())
    async with scripted_server() as gauge:
        monkeypatch.setenv("TIDE_GAUGE_URL", gauge.url)
        monkeypatch.setattr(registry, "KINDS", (*registry.KINDS, made_up.configured))
        gauge.play(
            *(answer(b"%d;%d" % (level, now)) for level in (412, 398, 405)), answer(b"1;%d" % (now - 7200)),
            answer(b"ebb"), answer(b"7;%d" % 10**20), broken_off(b"4;17", 20),
        )  # fmt: skip
        async with serving_whole(brisk) as service:
            ledgers = await service.settled(received=7)
            await service.check_balance(ledgers)
            told = ledgers["tide_gauge"]
            assert (told["messages"], told["received"], told["accepted"], told["discarded"]) == (7, 7, 3, 4)
            assert [each["value"] for each in (await service.ask(TIDES))["points"]] == [4.12, 3.98, 4.05]
            discards = (await service.ask(DISCARDS))["discards"]
            malformed = [("4;17", "MALFORMED"), (f"7;{10**20}", "MALFORMED"), ("ebb", "MALFORMED")]
            found = sorted((each["raw"], each["reason"]) for each in discards)
            assert found == [(f"1;{now - 7200}", "TOO_OLD"), *malformed]
            assert all(each["faults"] for each in discards if each["reason"] == "MALFORMED")
            assert (await service.parts())["tide_gauge"]["status"] in {"ok", "unavailable"}
            assert await service.metric("datacosmos_received_total", source="tide_gauge") == 7
            assert await service.metric("datacosmos_polls_total", outcome="point", source="tide_gauge") == 7


@pytest.mark.parametrize("sizes", [[1, 1, 1], [3], [1, 5, 1, 2]], ids=str)
async def test_a_made_up_source_is_pushed_in_any_shape_and_its_ledger_balances(
    brisk: Settings, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    buoys = Source(
        name="buoys",
        about="pushed by ships, some at once",
        parse=lambda payload: Parsed(time=datetime.now(UTC), value=float(payload), series="buoys/north"),
        rules=(malformed(), too_old(timedelta(hours=1))),
        pushed=Pushed(
            path="/buoys",
            record_name="Height",
            record={"type": "number"},
            example={},
            keys=uuid.uuid4(),
            max_bytes=1000,
            max_readings=10,
        ),
    )

    def configured(_: Settings) -> list[Source]:
        return [buoys]

    monkeypatch.setattr(registry, "KINDS", (*registry.KINDS, configured))
    async with serving_whole(brisk) as service:
        for size in sizes:
            answer = await service.client.post("/buoys", json=["rubbish", *[1.5] * (size - 1)])
            assert (answer.status_code, answer.json()["accepted"]) == (202, size - 1)
        ledgers = await service.settled(received=sum(sizes))
        await service.check_balance(ledgers)
        told = ledgers["buoys"]
        assert (told["messages"], told["received"]) == (len(sizes), sum(sizes))
        assert (told["accepted"], told["discarded"]) == (sum(sizes) - len(sizes), len(sizes))


async def test_the_ledger_balances_also_where_a_source_is_configured_no_more(brisk: Settings, queue: Queue) -> None:
    gone = Source(name="gone", about="", parse=lambda _: NOW, rules=(malformed(),), series="s", point_is_receipt=True)
    async with serving_whole(brisk) as service:
        for name in ("a", "b"):
            await queue.publish(gone.receive([b"1"], delivery_id=name, received_at=datetime.now(UTC)))
        ledgers = await service.settled(received=2)
        await service.check_balance(ledgers)
        assert (ledgers["gone"]["messages"], ledgers["gone"]["accepted"]) == (2, 2)
