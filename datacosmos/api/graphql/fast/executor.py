"""The executor that completes a list of points as one value."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from graphql import GraphQLList, GraphQLObjectType, GraphQLResolveInfo
from graphql.pyutils import AwaitableOrValue, Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from datacosmos.api.graphql.fast.encoded import Edges, Encoded
from datacosmos.api.graphql.fast.reading import Source
from datacosmos.api.graphql.fast.rows import (
    NotCovered,
    Selected,
    column_rows,
    cursor_of_column,
    object_rows,
    object_type,
)
from datacosmos.api.graphql.listings import Accepted, Column, Listing, Page
from datacosmos.api.graphql.types import Connection, page_info
from datacosmos.domain.columns import NoColumns

Lists = Mapping[str, Selected]
PLAIN = ""  # the name of a list that is no page's edges


class FastExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's, but that it reads and encodes a Listing or a Page at once where it can."""

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: Selected,
        info: GraphQLResolveInfo,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[Any]:
        if isinstance(result, Encoded):
            return result
        if isinstance(result, Edges):
            return result[str(path.key)]
        if isinstance(result, Listing):
            reading = self._read_listing(return_type, field_details_list, result)
            complete = partial(self.complete_list_value, return_type, field_details_list, info, path)
            return self._complete(result, reading, lambda value: complete(value, position_context))
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: Selected,
        info: GraphQLResolveInfo,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[Any]:
        if isinstance(result, Page):
            reading = self._read_page(return_type, field_details_list, result)
            complete = partial(self.complete_object_value, return_type, field_details_list, info, path)
            return self._complete(result, reading, lambda value: complete(value, position_context))
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    async def _complete(
        self, asked: Listing[Any, Any] | Page[Any], reading: Coroutine[Any, Any, Any], complete: Callable[[Any], Any]
    ) -> Any:
        try:
            value = await reading
        except (NotCovered, NoColumns):
            value = await asked.read()
        completed = complete(value)
        return await completed if self.is_awaitable(completed) else completed

    async def _read_listing(
        self, list_type: GraphQLList[Any], selected: Selected, listing: Listing[Any, Any]
    ) -> Encoded:
        source = self._source(listing, object_type(list_type), {PLAIN: selected})
        outcome = await source.read(listing.most, self.context_value.spool)
        listing.check(outcome.found)
        return outcome.lists[PLAIN]

    async def _read_page(self, connection: GraphQLObjectType, selected: Selected, page: Page[Any]) -> Connection[Any]:
        fields = self.collect_subfields(connection, selected).grouped_field_set
        names = {key: details[0].node.name.value for key, details in fields.items()}
        lists = {key: details for key, details in fields.items() if names[key] == "edges"}
        edge = object_type(connection.fields["edges"].type)
        source = self._source(page, edge, lists, ends="pageInfo" in names.values())
        outcome = await source.read(page.most, self.context_value.spool)
        edges: Any = Edges(outcome.lists)
        return Connection(edges=edges, page_info=page_info(outcome.found > page.most, page.has_previous, outcome.ends))

    def _source(
        self, asked: Listing[Any, Any] | Page[Any], item: GraphQLObjectType, lists: Lists, *, ends: bool = False
    ) -> Source[Any]:
        """From columns where they hold all that is selected, else from whole points."""
        turns = self.context_value.turns
        if isinstance(asked.asked, Accepted):
            rows = {name: column_rows(self, item, selected, asked.covered) for name, selected in lists.items()}
            encoders = {name: each.encode for name, each in rows.items() if each is not None}
            if len(encoders) == len(lists):
                ids = ends or any(Column.CURSOR in each.columns for each in rows.values() if each is not None)
                columns = asked.asked.columns(ids=ids)
                return Source(columns, turns.columns, encoders, cursor_of_column if ends else None)
        encoders = {name: object_rows(self, item, selected, asked.row) for name, selected in lists.items()}
        cursor = asked.cursor if ends and isinstance(asked, Page) else None
        return Source(asked.asked.pages(), turns.documents, encoders, cursor)
