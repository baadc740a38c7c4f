"""What every resolver may use: it travels with the execution of one request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import strawberry

from datacosmos.api.feed.feed import Feed
from datacosmos.api.intake import Intake
from datacosmos.api.lists.spool import Spool
from datacosmos.auth.permissions import Permissions
from datacosmos.calculation.client import Calculation
from datacosmos.errors import TooManyPoints
from datacosmos.store.stores import Stores

LEAST_HELD = 20_000
"""Points and buckets that any query may hold: the points of the widest `sampled`, twice the most `buckets`."""
T = TypeVar("T")


@dataclass  # freezing it costs more than making it
class Context:
    stores: Stores
    permissions: Permissions
    intake: Intake
    calculation: Calculation
    max_points: int
    request_id: str
    spool: Spool
    feed: Feed
    operation_name: str | None = None
    held: int = 0
    """Points and buckets of charts and below series, which stay in memory, as objects, until the query is answered."""

    @cached_property
    def one_list(self) -> asyncio.Lock:
        """Held by the list of this query that is read: a query of many lists has no more than a query of one."""
        return asyncio.Lock()

    async def hold(self, read: Callable[[], Awaitable[T]], count: Callable[[T], int]) -> T:
        """What is read, once it is its turn among the lists of this query. Raises TooManyPoints."""
        async with self.one_list:
            self._check()
            found = await read()
            self.held += count(found)
            self._check()
        return found

    def _check(self) -> None:
        if self.held > (most := max(self.max_points, LEAST_HELD)):
            raise TooManyPoints(
                f"the charts and the series of this query have more than {most} points and buckets together; ask for "
                "fewer series, shorter ranges or longer intervals, or send several queries"
            )


Info = strawberry.Info[Context, None]
