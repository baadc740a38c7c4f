"""Lists that a query asks for, not yet read. How they are read plainly is told here; `fast` knows a faster way."""

from collections.abc import AsyncGenerator, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.cursors import Kind, encode_cursor
from datacosmos.api.graphql.paging import Connection, Count, Edge, Paging, connection
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
class Asked(Generic[Item]):
    """What a list is made from, `limit` at most: `whole` reads items, `find` some fields of the same, by their names.

    Both take whose or which they are, the window, and the options. `find` raises NoColumns where they are to be read
    whole.
    """

    whole: Callable[..., AsyncGenerator[list[Item]]]
    find: Callable[..., Batches[Rows]]
    which: str | Reason | None
    window: Window
    limit: int
    options: Mapping[str, Any]

    @property
    def most(self) -> int:
        """One less than are asked for, to tell that there are more."""
        return self.limit - 1

    async def read(self) -> list[Item]:
        pages = self.whole(self.which, self.window, limit=self.limit, **self.options)
        return [item async for page in pages for item in page]

    def rows(self, fields: AbstractSet[str]) -> Batches[Rows]:
        return self.find(self.which, self.window, fields, limit=self.limit, **self.options)


def accepted(
    points: Points,
    series: str,
    window: Window,
    limit: int,
    after: Position | None = None,
    *,
    down: bool = False,
    chosen: Filter = ALL,
) -> Asked[domain.Point]:
    """Points of a series, `down` from the newest."""
    options = {"after": after, "down": down, "chosen": chosen}
    return Asked(points.accepted, points.find_accepted, series, window, limit, options)


def discarded(
    points: Points,
    reason: Reason | None,
    window: Window,
    source: str | None,
    limit: int,
    after: Position | None = None,
    *,
    down: bool = False,
) -> Asked[domain.Point]:
    """Discards, `down` from the newest."""
    options = {"after": after, "down": down, "source": source}
    return Asked(points.discards, points.find_discarded, reason, window, limit, options)


def located(minutes: Minutes, user_id: str, window: Window, limit: int) -> Asked[Minute]:
    """Minutes of a user."""
    return Asked(minutes.read, minutes.find, user_id, window, limit, {})


@dataclass(slots=True)
class Listing(Generic[Item, T]):
    """A plain list. `elsewhere` says where there are more, and `constants` what is the same in all rows."""

    is_backward: ClassVar = False  # its rows come in its own order
    asked: Asked[Item]
    row: Callable[[Item], T]
    elsewhere: str = ""
    constants: Mapping[str, str] = field(default_factory=dict[str, str])

    async def read(self) -> list[T]:
        found = await self.asked.read()
        self.check(len(found))
        return [self.row(item) for item in found]

    def check(self, found: int) -> None:
        """Raises TooManyPoints."""
        if found > (most := self.asked.most):
            raise TooManyPoints(
                f"more than {most} are in this range, which is the limit of a plain list; narrow start and end"
                + (f", or use {self.elsewhere}" if self.elsewhere else "")
            )


@dataclass(slots=True)
class Page(Generic[T]):
    """One page of a connection, and, of more than it has, that there is a page there."""

    asked: Asked[domain.Point]
    convert: Callable[[domain.Point], T]
    kind: Kind
    paging: Paging
    count: Count
    constants: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_backward(self) -> bool:
        """Whether its rows come in the opposite order of its edges."""
        return self.paging.backward

    async def read(self) -> Connection[T]:
        return connection([self.row(point) for point in await self.asked.read()], self.paging, self.count)

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
