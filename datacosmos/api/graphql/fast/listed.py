"""What is selected of a list or a page, and how one that a resolver describes is read and encoded so."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from graphql import GraphQLField, GraphQLObjectType
from graphql.execution import Executor

from datacosmos.api.graphql.context import Context
from datacosmos.api.graphql.fast.rows import Leaf, Selected, Selection, cursor_leaf, object_type, select
from datacosmos.api.graphql.fast.values import NotCovered
from datacosmos.api.graphql.listings import Listing, Page
from datacosmos.api.graphql.paging import in_time, page_info
from datacosmos.api.lists.columns import fill_rows
from datacosmos.api.lists.encoding import Encoded
from datacosmos.api.lists.parts import Parts
from datacosmos.api.lists.spool import Spool
from datacosmos.domain.columns import Rows
from datacosmos.errors import DatacosmosError
from datacosmos.slices import next_slice

Info = Callable[[Any], Any]
CURSORS = frozenset({"startCursor", "endCursor"})


class Lists:
    """What rows are encoded to: some lists of the same ones, and the cursors of their ends where those are wanted."""

    def __init__(self, rows: Sequence[Selection], cursor: Leaf | None = None) -> None:
        self.rows, self.cursor = rows, cursor
        self.leaves = tuple(dict.fromkeys(leaf for each in rows for leaf in each.leaves))
        wanted = (*self.leaves, cursor) if cursor else self.leaves
        self.fields = frozenset[str]().union(*(leaf.names for leaf in wanted))
        self.parts = Parts()


class Reading:
    """One reading of a list or a page: `encoded` for each of the lists, how many were found, and the cursors of ends.

    After its first part a list waits for a slice for each other one, so that short lists pass by long ones, and none
    holds up others for longer than a slice.
    """

    def __init__(self, lists: Lists, described: Listing[Any, Any] | Page[Any], spool: Spool) -> None:
        self.found = 0
        self.ends: tuple[str | None, str | None] = None, None
        self._lists, self._asked, self._backward = lists, described.asked, described.is_backward
        self.encoded = [Encoded(spool, backward=self._backward) for _ in lists.rows]
        self._templates = [each.filled(described.constants) for each in lists.rows]

    async def read(self) -> None:
        """Encodes as many rows as there may be, and counts the others. Raises NotCovered, and what the store raises."""
        most, batches = self._asked.most, self._asked.rows(self._lists.fields)
        try:
            async for batch in batches:
                is_first, left = not self.found, max(0, most - self.found)
                self.found += len(batch)
                await self._add(batch if len(batch) <= left else batch[:left], is_first=is_first)
                del batch  # the next may be long in coming
        except BaseException:
            for encoded in self.encoded:
                encoded.drop()
            await batches.aclose()
            raise

    async def _add(self, rows: Rows, *, is_first: bool) -> None:
        parts = self._lists.parts
        for part in parts.of(rows):
            if not is_first:
                await next_slice()
            is_first = False
            for encoded, text in zip(self.encoded, parts.encode(self._encode, part), strict=True):
                if encoded.add(text):
                    await encoded.write()

    def _encode(self, part: Rows) -> list[bytes]:
        """Comma-separated. Raises NotCovered wherever Strawberry would have found an error."""
        rows, lists = part[::-1] if self._backward else part, self._lists
        try:
            texts = {leaf: leaf.texts(rows) for leaf in lists.leaves}
            if lists.cursor is not None:  # backward, the rows that come last are the first
                self._note(texts.get(lists.cursor) or lists.cursor.texts(rows[:: max(1, len(rows) - 1)]))
            return [
                fill_rows(template, [texts[leaf] for leaf in each.leaves], len(rows))
                for template, each in zip(self._templates, lists.rows, strict=True)
            ]
        except Exception as error:  # whatever it is, Strawberry will come upon it again, and tell
            raise NotCovered from error

    def _note(self, cursors: Sequence[bytes]) -> None:
        """Of some rows, the first of which has the first of these, and the last the last."""
        start, end = self.ends
        first, last = cursors[0].decode(), cursors[-1].decode()
        self.ends = (first, end or last) if self._backward else (start or first, last)


@dataclass(frozen=True, slots=True)
class ListPlan:
    """A plain list."""

    lists: Lists

    async def read(self, listing: Any, context: Context) -> Any:
        reading = Reading(self.lists, listing, context.spool)
        await reading.read()
        listing.check(reading.found)
        return reading.encoded[0].whole()


@dataclass(frozen=True, slots=True)
class PagePlan:
    """A connection: the keys of its edges, of PageInfos, and of how many there are in all.

    `keys` are all, in order, with the only value that is known, the name of the type.
    """

    keys: Mapping[str, str]
    edges: Sequence[str]
    infos: Mapping[str, Mapping[str, Info]]
    totals: Sequence[str]
    lists: Lists

    async def read(self, page: Any, context: Context) -> dict[str, Any]:
        data: dict[str, Any] = dict(self.keys)
        if self.totals:
            data |= dict.fromkeys(self.totals, await _total(page))
        reading = Reading(self.lists, page, context.spool)
        await reading.read()
        for key, encoded in zip(self.edges, reading.encoded, strict=True):
            data[key] = encoded.whole()
        if self.infos:
            info = page_info(page.paging, reading.found > page.asked.most, reading.ends)
            for key, members in self.infos.items():
                data[key] = {name: make(info) for name, make in members.items()}
        return data


async def _total(page: Page[Any]) -> int:
    try:
        return await in_time(page.count)
    except DatacosmosError as error:  # Strawberry will come upon it again, and tell
        raise NotCovered from error


def page_plan(executor: Executor[Any], connection: GraphQLObjectType, selected: Selected) -> PagePlan:
    keys: dict[str, str] = {}
    edges: dict[str, Selection] = {}
    infos: dict[str, dict[str, Info]] = {}
    totals: list[str] = []
    edge, has_cursors = object_type(connection.fields["edges"].type), False
    for key, details in executor.collect_subfields(connection, selected).grouped_field_set.items():
        keys[key] = connection.name
        match details[0].node.name.value:
            case "__typename":
                pass
            case "edges":
                edges[key] = select(executor, edge, details)
            case "pageInfo":
                infos[key], has = _page_info(executor, connection, details)
                has_cursors |= has
            case "totalCount":
                totals.append(key)
            case _:
                raise NotCovered
    node = object_type(edge.fields["node"].type)
    lists = Lists([*edges.values()], cursor_leaf(node.name) if has_cursors else None)
    return PagePlan(keys, [*edges], infos, totals, lists)


def _page_info(
    executor: Executor[Any], connection: GraphQLObjectType, selected: Selected
) -> tuple[dict[str, Info], bool]:
    """What makes each member of it, and whether one is a cursor."""
    type_ = object_type(connection.fields["pageInfo"].type)
    fields = executor.collect_subfields(type_, selected).grouped_field_set
    names = {key: details[0].node.name.value for key, details in fields.items()}
    members: dict[str, Info] = {
        key: (lambda _: type_.name) if name == "__typename" else attrgetter(_python_name(type_.fields[name]))
        for key, name in names.items()
    }
    return members, not CURSORS.isdisjoint(names.values())


def _python_name(field: GraphQLField) -> str:
    return field.extensions["strawberry-definition"].python_name
