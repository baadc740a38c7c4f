"""What every resolver may use: it travels with the execution of one request."""

import asyncio
from dataclasses import dataclass, field

import strawberry

from datacosmos.api.access import Access
from datacosmos.api.intake import Intake
from datacosmos.store.stores import Stores

AT_ONCE = 2


@dataclass(slots=True)  # freezing it costs more than making it
class Context:
    stores: Stores
    access: Access
    intake: Intake
    max_points: int
    request_id: str
    fast: bool = False
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    """How many long lists are read at once, over all requests: each takes memory, and none is done sooner by more."""


Info = strawberry.Info[Context, None]
