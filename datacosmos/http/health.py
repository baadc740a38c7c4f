"""What a program is asked after: the checks of its parts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from datacosmos.errors import DatacosmosError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATIENCE = 2.0  # seconds
Refresh = Callable[[], Awaitable[None]]
"""Brings gauges up to date."""


class Degraded(Exception):
    """What a check raises of a part that serves, but not as it should: reported, but never a reason to answer 503."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One part's check: `ask` says its state in a few words, and raises a DatacosmosError while it can't serve.

    A part that is not critical is reported, but is no reason to answer 503.
    """

    ask: Callable[[], Awaitable[str]]
    critical: bool = True


@dataclass(frozen=True, slots=True)
class PartState:
    status: Literal["ok", "degraded", "unavailable"]
    detail: str


async def state_of(name: str, check: HealthCheck) -> PartState:
    try:
        async with asyncio.timeout(PATIENCE):
            return PartState("ok", await check.ask())
    except Degraded as error:
        return PartState("degraded", str(error))
    except TimeoutError:
        return PartState("unavailable", f"no answer within {PATIENCE:g} s")
    except DatacosmosError as error:
        return PartState("unavailable", str(error))
    except Exception:
        log.exception("health check failed", part=name)
        return PartState("unavailable", "the check itself failed; see the log")
