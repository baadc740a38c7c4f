"""Run as a program: our commands under a clock that is off by what a file says, in seconds, and jumps with it.

Usage: jumping_clock.py FILE COMMAND [ARGUMENT ...]. Only the wall clock jumps: as on a real machine, waiting goes by
another one.
"""

import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import apscheduler.schedulers.base
import apscheduler.triggers.interval

from datacosmos import cli
from datacosmos.api.rest import readings
from datacosmos.pipeline import poller
from datacosmos.programs import services

FILE = Path(sys.argv.pop(1))
READERS: tuple[Any, ...] = (apscheduler.schedulers.base, apscheduler.triggers.interval, poller, readings)


class Jumping(datetime):
    """What `datetime` is to those who read the time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(time.time(), tz) + timedelta(seconds=float(FILE.read_text() or 0))


if __name__ == "__main__":
    assert services
    for module in READERS:
        module.datetime = Jumping
    cli.main()
