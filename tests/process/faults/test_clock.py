"""The machine's clock jumps by an hour, either way, under a service at work."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.process.faults.account import LEDGER
from tests.process.faults.service import Service, service

HOUR = 3600
LAUNCHER = Path(__file__).with_name("jumping_clock.py")


@pytest.mark.timeout(300)
async def test_when_the_clock_jumps_polling_goes_on_and_each_reading_is_judged_by_when_it_was_received(
    tmp_path: Path,
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    async with service(tmp_path, run_by=(sys.executable, str(LAUNCHER), str(clock))) as jumping:
        assert await verdicts(jumping) == {"SYSTEM": 4}
        clock.write_text(str(HOUR + 60))
        assert await verdicts(jumping) == {"TOO_OLD": 20}
        clock.write_text(str(-HOUR))
        assert await verdicts(jumping) == {"SYSTEM": 4}
        clock.write_text("0")
        assert await verdicts(jumping) == {"SYSTEM": 4}


async def verdicts(jumping: Service) -> Counter[str]:
    """How 20 readings of this very moment are judged, four of them tagged as ones to discard."""
    before = await discarded(jumping)
    jumping.server.load(20)
    async with jumping.sensors.at_work():
        await jumping.server.served_all()
    await jumping.balances()
    return await discarded(jumping) - before


async def discarded(jumping: Service) -> Counter[str]:
    data = await jumping.programs.ask(LEDGER)
    assert data is not None
    [ledger] = [each for each in data["ingestion"] if each["source"] == "data_server"]
    return Counter({each["reason"]: each["count"] for each in ledger["discardedByReason"]})
