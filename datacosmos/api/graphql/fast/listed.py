"""What is selected of a list or a page, and how one that a resolver describes is read and encoded so."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from graphql import GraphQLField, GraphQLObjectType
from graphql.execution import Executor

from datacosmos.api.graphql.context import Context
from datacosmos.api.graphql.fast.rows import Leaf, Selected, Selection, cursor_leaf, first_cursor, object_type, select
from datacosmos.api.graphql.fast.values import NotCovered
from datacosmos.api.graphql.listings import Listing, Page
from datacosmos.api.graphql.paging import in_time
from datacosmos.api.lists.encoding import Encoded
from datacosmos.api.lists.turns import Outcome, Source
from datacosmos.errors import DatacosmosError

Info = Callable[[Any], Any]
CURSORS = frozenset({"startCursor", "endCursor"})
PLAIN = ""  # the name of a list that is no page's edges


class ListPlan:
    """A plain list."""

    def __init__(self, rows: Selection) -> None:
        self._lists = Lists({PLAIN: rows}, None)

    async def read(self, listing: Any, context: Context) -> Encoded:
        outcome = await self._lists.read(listing, context)
        listing.check(outcome.found)
        return outcome.lists[PLAIN]


class PagePlan:
    """A connection, key by key: its edges, each selected on its own, or its PageInfo; and the cursor of its ends.

    `totals` are the keys of how many there are in all.
    """

    def __init__(self, parts: Mapping[str, "Selection | Info"], ends: Leaf | None, totals: Sequence[str]) -> None:
        self._parts, self._totals = parts, totals
        self._lists = Lists({key: part for key, part in parts.items() if isinstance(part, Selection)}, ends)

    async def read(self, page: Any, context: Context) -> dict[str, Any]:
        total = await _total(page) if self._totals else 0
        outcome = await self._lists.read(page, context)
        info = page.info(outcome.found, outcome.ends)
        read = {
            key: outcome.lists[key] if isinstance(part, Selection) else part(info) for key, part in self._parts.items()
        }
        return read | dict.fromkeys(self._totals, total)


class Lists:
    """What one reading is encoded to: lists by name, and the cursors of its ends where those are wanted."""

    def __init__(self, lists: Mapping[str, Selection], ends: Leaf | None) -> None:
        self._lists, self._cursor = lists, ends and partial(first_cursor, ends)
        self._fields = frozenset[str]().union(*(rows.names for rows in lists.values()), ends.names if ends else ())

    async def read(self, asked: Listing[Any, Any] | Page[Any], context: Context) -> Outcome:
        encoders = {key: partial(rows.encode, asked.constants) for key, rows in self._lists.items()}
        source = Source(asked.asked.rows(self._fields), encoders, self._cursor)
        return await source.read(asked.most, context.spool, backward=asked.is_backward)


async def _total(page: Page[Any]) -> int:
    try:
        return await in_time(page.count)
    except DatacosmosError as error:  # Strawberry will come upon it again, and tell
        raise NotCovered from error


def page_plan(executor: Executor[Any], connection: GraphQLObjectType, selected: Selected) -> PagePlan:
    parts: dict[str, Selection | Info] = {}
    ends: Leaf | None = None
    totals: list[str] = []
    edge = object_type(connection.fields["edges"].type)
    for key, details in executor.collect_subfields(connection, selected).grouped_field_set.items():
        match details[0].node.name.value:
            case "__typename":
                parts[key] = _constant(connection.name)
            case "edges":
                parts[key] = select(executor, edge, details)
            case "pageInfo":
                parts[key], has_cursors = _page_info(executor, connection, details)
                if has_cursors:
                    ends = cursor_leaf(object_type(edge.fields["node"].type))
            case "totalCount":
                parts[key] = _constant("")  # keeps its place
                totals.append(key)
            case _:
                raise NotCovered
    return PagePlan(parts, ends, totals)


def _page_info(executor: Executor[Any], connection: GraphQLObjectType, selected: Selected) -> tuple[Info, bool]:
    """What makes it, and whether it has a cursor."""
    type_ = object_type(connection.fields["pageInfo"].type)
    fields = executor.collect_subfields(type_, selected).grouped_field_set
    names = {key: details[0].node.name.value for key, details in fields.items()}
    members: dict[str, Info] = {
        key: _constant(type_.name) if name == "__typename" else attrgetter(_python_name(type_.fields[name]))
        for key, name in names.items()
    }
    return lambda info: {key: make(info) for key, make in members.items()}, not CURSORS.isdisjoint(names.values())


def _constant(text: str) -> Info:
    return lambda _: text


def _python_name(field: GraphQLField) -> str:
    return field.extensions["strawberry-definition"].python_name
