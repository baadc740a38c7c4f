"""What is stored, as it is stored: the subscriptions of the schema."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Self

import strawberry
from strawberry import UNSET

from datacosmos.api.feed.frames import Frame
from datacosmos.api.feed.rights import expiry_of
from datacosmos.api.graphql.charts import Source
from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.types import Discard, Point
from datacosmos.domain import changes as domain
from datacosmos.domain.changes import Accepted, ChangeKind, Discarded, Topic
from datacosmos.domain.points import Reason
from datacosmos.sources.data_server import SERIES

strawberry.enum(
    ChangeKind,
    description="What became of a reading; WITHDRAWN and REINSTATED, by a later judgement.",
)


@strawberry.type(description="A point or discard, as it was stored.")
class Change:
    kind: ChangeKind
    point: Point | None
    discard: Discard | None

    @classmethod
    def of(cls, change: domain.Change) -> Self:
        if change.kind is ChangeKind.DISCARDED:
            return cls(kind=change.kind, point=None, discard=Discard.of(change.point))
        return cls(kind=change.kind, point=Point.of(change.point), discard=None)


@strawberry.type(
    description="Changes in the order of their commits; without events a heartbeat, every 15 s. Its cursor counts too."
)
class Changes:
    frame: strawberry.Private[Frame]

    @strawberry.field(description="Behind which `after` goes on, exactly.")
    def cursor(self) -> str:
        return self.frame.cursor

    @strawberry.field
    def events(self) -> list[Change]:
        return [Change.of(change) for change in self.frame.changes]


@strawberry.type
class Subscription:
    """Behind the cursor `after`; else what is stored from `start` on comes first; else from now on."""

    @strawberry.subscription(
        description="Accepted points of a series, some milliseconds after they are stored. With `start`, those stored "
        "from then on come first, by time; it filters nothing of what comes live. `after` goes on behind a cursor, and "
        "wins over `start`."
    )
    async def changes(
        self, info: Info, series: str = SERIES, start: datetime | None = UNSET, after: str | None = UNSET
    ) -> AsyncGenerator[Changes]:
        info.context.permissions.require_series(series)
        async with aclosing(_followed(info, Accepted(series), start or None, after or None)) as frames:
            async for frame in frames:
                yield Changes(frame=frame)

    @strawberry.subscription(
        description="Discards, for administrators, as in `changes`; `start` means receivedAt, and `reason` matches any "
        "of a discard's reasons."
    )
    async def discard_changes(
        self,
        info: Info,
        reason: Reason | None = UNSET,
        origin: Source = UNSET,
        start: datetime | None = UNSET,
        after: str | None = UNSET,
    ) -> AsyncGenerator[Changes]:
        info.context.permissions.require_admin()
        topic = Discarded(reason or None, origin or None)
        async with aclosing(_followed(info, topic, start or None, after or None)) as frames:
            async for frame in frames:
                yield Changes(frame=frame)


def _followed(info: Info, topic: Topic, start: datetime | None, after: str | None) -> AsyncGenerator[Frame]:
    """Raises InvalidCursor at once."""
    feed = info.context.feed
    place = feed.place(topic, start, after)
    return feed.follow(topic, place, expires=expiry_of(info.context.permissions, topic))
