"""What every resolver may use: it travels with the execution of one request."""

import asyncio
from dataclasses import dataclass, field

import strawberry

from datacosmos.api.access import Access
from datacosmos.api.graphql.spool import Spool
from datacosmos.api.intake import Intake
from datacosmos.store.stores import Stores

AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Turns:
    """How many long lists of a kind are encoded at once, over all requests: more would not be done sooner.

    Those made of documents take some fifteen times as long as those made of columns, so they have turns of their own.
    """

    columns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    documents: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


@dataclass(slots=True)  # freezing it costs more than making it
class Context:
    stores: Stores
    access: Access
    intake: Intake
    max_points: int
    request_id: str
    turns: Turns
    spool: Spool
    fast: bool = False


Info = strawberry.Info[Context, None]
