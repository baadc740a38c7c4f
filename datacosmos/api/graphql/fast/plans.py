"""A query's execution as far as it is the same at each request: its lists as a plan, the rest left to the executor.

A plan calls the resolvers that the schema has, which check who asks and describe each list; reads one list after the
other; and has their rows encoded as they come. Whatever is unusual, an error of a resolver's above all, is found before
anything is read, and all of it is then executed as Strawberry does. A failure in reading is an error of its field.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from dataclasses import dataclass
from functools import cached_property, partial
from inspect import isawaitable
from typing import Any, Self

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLObjectType,
    GraphQLResolveInfo,
    OperationType,
    get_argument_values,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.executor import CollectedErrors
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from datacosmos.api.graphql.fast.calls import Call, Unusual, call_of
from datacosmos.api.graphql.fast.listed import ListPlan, PagePlan, page_plan
from datacosmos.api.graphql.fast.objects import ListCompletion
from datacosmos.api.graphql.fast.rows import Selected, select
from datacosmos.api.graphql.fast.values import NotCovered
from datacosmos.api.graphql.listings import UNREAD, Listing, Page
from datacosmos.domain.columns import NoColumns

Executor = StrawberryGraphQLCoreExecutionContext


@dataclass(frozen=True, slots=True)
class RootField:
    """A list or a page by its key, with the resolver and the arguments that the schema and the query have for it."""

    key: str
    details: Selected
    field: GraphQLField
    info: Any
    plan: ListPlan | PagePlan
    call: Call | None

    async def describe(self, executor: Executor) -> Any:
        """Raises what the resolver raises."""
        values = executor.variable_values
        info = self.info._replace(context=executor.context_value, variable_values=values.coerced)
        if self.call is not None:
            return await self.call(info, values.coerced)
        arguments = get_argument_values(self.field, self.details[0].node, values)
        assert self.field.resolve is not None  # noqa: S101 - Strawberry's fields have one
        return await self.field.resolve(None, info, **arguments)

    async def read(self, executor: Executor, described: Any) -> Any:
        """The list; or what the resolver has read itself. Raises Unusual, and a failure that nulls the whole answer."""
        try:
            if isinstance(described, Listing | Page):
                return await self.plan.read(described, executor.context_value)
            path = self.info.path
            return await _awaited(
                executor.complete_value(self.field.type, self.details, self.info, path, described, None)
            )
        except (NotCovered, NoColumns) as error:
            raise Unusual from error
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the field's
            executor.handle_field_error(error, self.field.type, self.details, self.info.path)
            return None


class Plan:
    """The root fields of one operation, for one choice of what its directives and its fields' arguments depend on."""

    def __init__(self, executor: Executor, root: GraphQLObjectType, fields: GroupedFieldSet) -> None:
        self._root, self._fields = root, fields
        planned = {key: _plan(executor, root, key, details) for key, details in fields.items()}
        self._lists = [field for field in planned.values() if field is not None]
        self._others = {key: details for key, details in fields.items() if planned[key] is None}

    async def execute(self, executor: Executor) -> dict[str, Any]:
        """The answer's data. Raises GraphQLError where an error nulls it; others are collected by the executor."""
        try:
            return await self._execute(executor)
        except Unusual:
            executor.collected_errors = CollectedErrors()
            return await _awaited(executor.execute_fields(self._root, None, None, self._fields, None))

    async def _execute(self, executor: Executor) -> dict[str, Any]:
        try:
            described = [await field.describe(executor) for field in self._lists]
        except Exception as error:  # whatever it is, Strawberry will come upon it again, and tell
            raise Unusual from error
        data = {field.key: await field.read(executor, each) for field, each in zip(self._lists, described, strict=True)}
        if self._others:
            data |= await _awaited(executor.execute_fields(self._root, None, None, self._others, None))
            data = {key: data[key] for key in self._fields if key in data}
        return data


async def _awaited(value: Any) -> Any:
    return await value if isawaitable(value) else value


def _plan(executor: Executor, root: GraphQLObjectType, key: str, details: Selected) -> RootField | None:
    """None for a field that is no list, or one of which something is selected that is not planned for."""
    field = root.fields.get(details[0].node.name.value)
    type_ = get_named_type(field.type) if field else None
    if field is None or not isinstance(type_, GraphQLObjectType):
        return None
    try:
        if "edges" in type_.fields:
            plan: ListPlan | PagePlan = page_plan(executor, type_, details)
        elif is_list_type(get_nullable_type(field.type)):
            plan = ListPlan(select(executor, type_, details))
        else:
            return None
        call = call_of(field, details[0].node)
    except (NotCovered, GraphQLError):
        return None
    path = Path(None, key, root.name)
    info: Any = executor.build_resolve_info(field, [each.node for each in details], root, path)
    return RootField(key, details, field, info._replace(root_value=UNREAD), plan, call)


class PlanExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's, but that it executes the root fields of a query by a plan, and completes lists by column."""

    @cached_property
    def _lists(self) -> ListCompletion:
        return ListCompletion(self)

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        plainly = partial(
            super().complete_list_value, return_type, field_details_list, info, path, result, position_context
        )
        return self._lists.complete(return_type.of_type, field_details_list, result, plainly)

    def copy(self, context: Any, values: VariableValues) -> Self:
        """For one request: what was collected is kept by the one that all are copies of."""
        _ = self._lists  # so that all share it
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.context_value, made.variable_values, made.collected_errors = context, values, CollectedErrors()
        return made

    def execute_root_grouped_field_set(
        self,
        root_type: GraphQLObjectType,
        root_value: Any,
        grouped_field_set: GroupedFieldSet,
        serially: bool,
        position_context: Any,
    ) -> Any:
        if self.operation.operation is OperationType.QUERY:
            return Plan(self, root_type, grouped_field_set).execute(self)
        return super().execute_root_grouped_field_set(
            root_type, root_value, grouped_field_set, serially, position_context
        )
