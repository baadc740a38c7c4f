"""Lists that a query asks for, not yet read. How they are read plainly is told here; `fast` knows a faster way."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.cursors import Kind, encode_cursor
from datacosmos.api.graphql.types import Connection, Edge, page_info
from datacosmos.domain import points as domain
from datacosmos.domain.columns import Columns
from datacosmos.domain.minutes import Minute
from datacosmos.domain.points import Reason
from datacosmos.errors import TooManyPoints
from datacosmos.store.minutes import Minutes
from datacosmos.store.points import Points
from datacosmos.store.ranges import Position, Window

T = TypeVar("T")
Item = TypeVar("Item")


class Column(Enum):
    """What a column of the store holds of each point."""

    TIME = auto()
    VALUE = auto()
    CURSOR = auto()


# Fields of the types Point, PointEdge and SensorReading that are columns.
POINT: dict[str, Column | str] = {"time": Column.TIME, "value": Column.VALUE, "cursor": Column.CURSOR}
READING: dict[str, Column | str] = {"time": Column.TIME, "temperatureC": Column.VALUE}


@dataclass(frozen=True, slots=True)
class Accepted:
    """Accepted points of a series, `limit` at most."""

    points: Points
    series: str
    window: Window
    limit: int
    after: Position | None = None

    def pages(self) -> AsyncGenerator[list[domain.Point]]:
        return self.points.accepted(self.series, self.window, limit=self.limit, after=self.after)

    def columns(self, *, ids: bool) -> AsyncGenerator[Columns]:
        return self.points.columns(self.series, self.window, limit=self.limit, after=self.after, ids=ids)


@dataclass(frozen=True, slots=True)
class Discarded:
    """Discards, `limit` at most; no columns hold what is asked of them."""

    points: Points
    reason: Reason | None
    source: str | None
    window: Window
    limit: int
    after: Position | None = None

    def pages(self) -> AsyncGenerator[list[domain.Point]]:
        return self.points.discards(self.reason, self.window, limit=self.limit, after=self.after, source=self.source)


@dataclass(frozen=True, slots=True)
class Located:
    """Minutes of a user, `limit` at most; no columns hold them either."""

    minutes: Minutes
    user_id: str
    window: Window
    limit: int

    def pages(self) -> AsyncGenerator[list[Minute]]:
        return self.minutes.read(self.user_id, self.window, limit=self.limit)


class Asked(Protocol[Item]):
    """What a list is made from."""

    @property
    def limit(self) -> int: ...

    def pages(self) -> AsyncGenerator[list[Item]]: ...


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item, T]):
    """A plain list, with one asked for beyond the limit, to tell that there are more.

    `elsewhere` says where there are. `covered` names the fields of T that are columns, and those that have the same
    text in every row.
    """

    asked: Asked[Item]
    row: Callable[[Item], T]
    elsewhere: str = ""
    covered: Mapping[str, Column | str] = field(default_factory=dict[str, Column | str])

    @property
    def most(self) -> int:
        return self.asked.limit - 1

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


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a connection, with one asked for beyond it, to tell whether there is a next page.

    `covered` is the same for the fields of an edge and of its node.
    """

    asked: Accepted | Discarded
    convert: Callable[[domain.Point], T]
    kind: Kind
    covered: Mapping[str, Column | str] = field(default_factory=dict[str, Column | str])

    @property
    def most(self) -> int:
        return self.asked.limit - 1

    @property
    def has_previous(self) -> bool:
        return self.asked.after is not None

    async def read(self) -> Connection[T]:
        found = [point async for page in self.asked.pages() for point in page]
        edges = [self.row(point) for point in found[: self.most]]
        ends = (edges[0].cursor, edges[-1].cursor) if edges else (None, None)
        return Connection(edges=edges, page_info=page_info(len(found) > self.most, self.has_previous, ends))

    def row(self, point: domain.Point) -> Edge[T]:
        return Edge(cursor=encode_cursor(self.kind, self._position(point)), node=self.convert(point))

    def cursor(self, points: Sequence[domain.Point]) -> str:
        """Of the first of them."""
        return encode_cursor(self.kind, self._position(points[0]))

    def _position(self, point: domain.Point) -> Position:
        time = point.reading.time if self.kind is Kind.POINTS else None
        return Position(time or point.received_at, point.id)


async def answer(info: Info, listing: Listing[Any, Any] | Page[Any]) -> Any:
    """The list itself; where the fast way is open, it is read as it is encoded."""
    return listing if info.context.fast else await listing.read()
