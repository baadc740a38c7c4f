"""Lists that a query asks for, not yet read. How they are read plainly is told here; `fast` knows a faster way."""

from collections.abc import AsyncGenerator, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from strawberry.relay import PageInfo

from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.cursors import Kind, encode_cursor
from datacosmos.api.graphql.paging import Connection, Count, Edge, page_info
from datacosmos.domain import points as domain
from datacosmos.domain.columns import Rows
from datacosmos.domain.minutes import Minute
from datacosmos.domain.points import Reason
from datacosmos.errors import TooManyPoints
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.finding import Batches
from datacosmos.store.mongo.ranges import Position, Window
from datacosmos.store.points.points import Points
from datacosmos.store.points.queries import ALL, Filter

T = TypeVar("T")
Item = TypeVar("Item")


UNREAD = object()
"""The root value of an execution that is given its lists as they are described, not yet read."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store calls a field, and what stands for it where a document has none."""

    name: str
    absent: Any = None


@dataclass(frozen=True, slots=True)
class Kept:
    """How rows of one type of the schema are kept: its fields by their names in Python.

    None stands for what is the same in all rows of one list, which tells it. `private` is what the type's resolvers
    look at, and `kind` what a cursor of one of its edges points into, by the time of which name.
    """

    fields: Mapping[str, Stored | None]
    private: Mapping[str, Stored] = field(default_factory=dict[str, Stored])
    kind: Kind | None = None
    time: str = ""


def _named(*names: str) -> dict[str, Stored | None]:
    return {name: Stored(name) for name in names}


KEPT: dict[str, Kept] = {
    "Point": Kept(
        {"id": Stored("_id"), "series": None, **_named("time", "value", "tags", "received_at")},
        {},
        Kind.POINTS,
        "time",
    ),
    "Discard": Kept(
        {
            "id": Stored("_id"),
            "faults": Stored("faults", []),
            **_named("source", "series", "time", "value", "tags", "reason", "reasons", "received_at", "duplicate_of"),
        },
        {"payload": Stored("raw", b"")},
        Kind.DISCARDS,
        "received_at",
    ),
    "SensorReading": Kept(
        {
            "sensor_id": None,
            "time": Stored("time"),
            "temperature_c": Stored("value"),
            "temperature_f": Stored("sent_value"),
        }
    ),
    "LocationMinute": Kept(_named("minute", "lat", "long", "accuracy", "speed", "count", "duplicates")),
}


@dataclass(slots=True)  # freezing these costs more than making them
class Accepted:
    """Accepted points of a series, `limit` at most, `down` from the newest."""

    points: Points
    series: str
    window: Window
    limit: int
    after: Position | None = None
    down: bool = False
    chosen: Filter = ALL

    def pages(self) -> AsyncGenerator[list[domain.Point]]:
        return self.points.accepted(
            self.series, self.window, limit=self.limit, after=self.after, down=self.down, chosen=self.chosen
        )

    def rows(self, fields: AbstractSet[str]) -> Batches[Rows]:
        return self.points.find_accepted(
            self.series, self.window, fields, limit=self.limit, after=self.after, down=self.down, chosen=self.chosen
        )


@dataclass(slots=True)
class Discarded:
    """Discards, `limit` at most, `down` from the newest."""

    points: Points
    reason: Reason | None
    source: str | None
    window: Window
    limit: int
    after: Position | None = None
    down: bool = False

    def pages(self) -> AsyncGenerator[list[domain.Point]]:
        return self.points.discards(
            self.reason, self.window, limit=self.limit, after=self.after, source=self.source, down=self.down
        )

    async def count(self) -> int:
        """How many there are, beyond the limit too."""
        return await self.points.count_discarded(self.reason, self.window, self.source)

    def rows(self, fields: AbstractSet[str]) -> Batches[Rows]:
        return self.points.find_discarded(
            self.reason, self.window, fields, limit=self.limit, after=self.after, source=self.source, down=self.down
        )


@dataclass(slots=True)
class Located:
    """Minutes of a user, `limit` at most."""

    minutes: Minutes
    user_id: str
    window: Window
    limit: int

    def pages(self) -> AsyncGenerator[list[Minute]]:
        return self.minutes.read(self.user_id, self.window, limit=self.limit)

    def rows(self, fields: AbstractSet[str]) -> Batches[Rows]:
        return self.minutes.find(self.user_id, self.window, fields, limit=self.limit)


class Asked(Protocol[Item]):
    """What a list is made from."""

    @property
    def limit(self) -> int: ...

    def pages(self) -> AsyncGenerator[list[Item]]:
        """Whole items."""
        ...

    def rows(self, fields: AbstractSet[str]) -> Batches[Rows]:
        """Some fields of the same, by the names of the store. Raises NoColumns where they are to be read whole."""
        ...


@dataclass(slots=True)
class Listing(Generic[Item, T]):
    """A plain list, with one asked for beyond the limit, to tell that there are more.

    `elsewhere` says where there are, and `constants` what is the same in all rows.
    """

    asked: Asked[Item]
    row: Callable[[Item], T]
    elsewhere: str = ""
    constants: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def most(self) -> int:
        return self.asked.limit - 1

    @property
    def is_backward(self) -> bool:
        """Never: a list's rows come in its own order."""
        return False

    async def read(self) -> list[T]:
        found = [item async for page in self.asked.pages() for item in page]
        self.check(len(found))
        return [self.row(item) for item in found]

    def check(self, found: int) -> None:
        """Raises TooManyPoints."""
        if found > self.most:
            raise TooManyPoints(
                f"more than {self.most} are in this range, which is the limit of a plain list; narrow start and end"
                + (f", or use {self.elsewhere}" if self.elsewhere else "")
            )


@dataclass(slots=True)
class Page(Generic[T]):
    """One page of a connection, with one asked for beyond it, to tell whether there is a page there."""

    asked: Accepted | Discarded
    convert: Callable[[domain.Point], T]
    kind: Kind
    count: Count
    constants: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def most(self) -> int:
        return self.asked.limit - 1

    @property
    def is_backward(self) -> bool:
        """Whether its rows come in the opposite order of its edges."""
        return self.asked.down

    def info(self, found: int, ends: tuple[str | None, str | None]) -> PageInfo:
        behind = self.asked.after is not None
        return page_info(found > self.most, behind, ends, backward=self.is_backward)

    async def read(self) -> Connection[T]:
        found = [point async for page in self.asked.pages() for point in page]
        edges = [self.row(point) for point in found[: self.most]]
        if self.is_backward:
            edges.reverse()
        ends = (edges[0].cursor, edges[-1].cursor) if edges else (None, None)
        return Connection(edges=edges, page_info=self.info(len(found), ends), count=self.count)

    def row(self, point: domain.Point) -> Edge[T]:
        return Edge(cursor=encode_cursor(self.kind, self._position(point)), node=self.convert(point))

    def _position(self, point: domain.Point) -> Position:
        time = point.reading.time if self.kind is Kind.POINTS else None
        return Position(time or point.received_at, point.id)


async def answer(info: Info, listing: Listing[Any, Any] | Page[Any]) -> Any:
    """The list itself; where the root is UNREAD, whoever put it there reads it."""
    if info.root_value is UNREAD:
        return listing
    async with info.context.one_list:
        return await listing.read()
