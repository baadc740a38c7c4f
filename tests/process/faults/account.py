"""The one question at the end of each fault: is every reading accounted for, and none counted twice?"""

# pyright: reportUnknownMemberType=false
# The MongoDB and NATS clients leave much untyped.

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import nats

from datacosmos.sources.data_server import MAX_BODY
from datacosmos.store.mongo.connection import connect
from tests.process.faults.group import PATIENCE, Group
from tests.process.faults.senders import DataServer, Sensors

LEDGER = """{ ingestion { source messages received accepted discarded inFlight deadLettered
                          discardedByReason { reason count } } }"""
STREAM = "readings"


@dataclass
class Stored:
    """What the engines hold, asked directly: payloads by source, readings in receipts, messages ever put on the queue
    and those there now."""

    raw: dict[str, Counter[bytes]]
    in_receipts: int
    messages: int
    queued: int


async def settled(group: Group) -> dict[str, dict[str, Any]]:
    """The ledger by source, once nothing is in flight."""
    ledger: dict[str, dict[str, Any]] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                if data := await group.ask(LEDGER):
                    ledger = {each["source"]: each for each in data["ingestion"]}
                    if not any(each["inFlight"] for each in ledger.values()):
                        return ledger
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not settled after {PATIENCE:g} s: {ledger}") from None


async def stored(group: Group) -> Stored:
    raw: dict[str, Counter[bytes]] = {"data_server": Counter(), "sensors": Counter()}
    async with connect(mongodb_url(group), "datacosmos", timedelta(seconds=30)) as database:
        async for point in database["points"].find({}, {"source": 1, "raw": 1}):
            raw[point["source"]][point["raw"]] += 1
        in_receipts = sum([receipt["readings"] async for receipt in database["receipts"].find()])
    messages, queued = await on_the_queue(group)
    return Stored(raw, in_receipts, messages, queued)


def mongodb_url(group: Group) -> str:
    """The engine's own, past any line."""
    url = group.endpoints.mongodb_url
    assert url is not None
    return url


async def written_but_queued(group: Group) -> int:
    """Messages that are in the store and still on the queue; some that are just being acknowledged may be left out."""
    async with connect(mongodb_url(group), "datacosmos", timedelta(seconds=30)) as database:
        written = await database["points"].count_documents({"source": "data_server"})
        written += await database["receipts"].count_documents({})
    messages, queued = await on_the_queue(group)
    return written + queued - messages


async def on_the_queue(group: Group) -> tuple[int, int]:
    """Messages ever put on the queue, and those there now."""
    url = group.endpoints.nats_url
    assert url is not None
    client = await nats.connect(url, connect_timeout=30)
    try:
        state = (await client.jetstream(timeout=30).stream_info(STREAM)).state
    finally:
        await client.close()
    return state.last_seq, state.messages


async def check_balance(
    group: Group,
    *,
    sensors: Sensors,
    server: DataServer,
    poller_kills: int = 0,
    dead_lettered: int = 0,
) -> None:
    """Waits until nothing is in flight; then what was sent must be what is stored, each once."""
    ledger = await settled(group)
    found = await stored(group)
    for source, told in ledger.items():
        assert told["received"] == told["accepted"] + told["discarded"] + told["inFlight"] + told["deadLettered"]
        assert told["accepted"] + told["discarded"] == found.raw[source].total()
    assert sum(told["deadLettered"] for told in ledger.values()) == dead_lettered
    assert (found.queued, found.messages) == (0, sum(told["messages"] for told in ledger.values()))
    assert found.in_receipts == found.raw["sensors"].total()
    check_sensors(sensors, ledger["sensors"], found.raw["sensors"])
    check_data_server(server, found.raw["data_server"], poller_kills)


def check_sensors(sensors: Sensors, ledger: dict[str, Any], raw: Counter[bytes]) -> None:
    assert raw == sensors.sent
    reasons = {each["reason"]: each["count"] for each in ledger["discardedByReason"]}
    assert reasons.get("MALFORMED", 0) == sensors.malformed
    assert reasons.get("DUPLICATE", 0) == sensors.duplicates
    assert ledger["accepted"] == sensors.accepted


def check_data_server(server: DataServer, raw: Counter[bytes], poller_kills: int) -> None:
    """What was served is stored once, but for one reading at the most a kill of the poller."""
    drips = Counter({body: n for body, n in raw.items() if body and not body.strip(b"{")})
    assert drips.total() == server.dripped
    served = Counter(body[:MAX_BODY] for body in server.served)
    assert not raw - drips - served, "stored twice, or never served"
    assert (served - raw).total() <= poller_kills
