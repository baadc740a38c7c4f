"""A query's execution as far as it is the same at each request: its lists as a plan, the rest left to the executor.

A plan calls the resolvers that the schema has, which check who asks and describe each list; reads one list after the
other; and has their rows encoded as they come. Whatever is unusual, an error of a resolver's above all, is found before
anything is read, and all of it is then executed as Strawberry does. A failure in reading is an error of its field.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Awaitable
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

from datacosmos.api.graphql.fast.calls import Call, call_of
from datacosmos.api.graphql.fast.listed import ListPlan, Lists, PagePlan, page_plan
from datacosmos.api.graphql.fast.objects import ListCompletion
from datacosmos.api.graphql.fast.rows import Selected, select
from datacosmos.api.graphql.fast.values import NotCovered
from datacosmos.api.graphql.listings import UNREAD, Listing, Page
from datacosmos.domain.columns import NoColumns
from datacosmos.errors import StoreUnavailable, StoreUnreachable

DESCRIBED = (Listing, Page)


@dataclass(slots=True)
class Run:
    """One request for what is planned: who asks, the variables' values, and an executor once one is needed."""

    context: Any
    coerced: dict[str, Any]
    shared: "PlanExecutor"
    own: "PlanExecutor | None" = None
    unreachable: StoreUnreachable | None = None  # once it is: to look for MongoDB again would take as long

    @property
    def executor(self) -> "PlanExecutor":
        if self.own is None:
            self.own = self.shared.copy(self.context, self.coerced)
        return self.own

    @property
    def errors(self) -> list[GraphQLError] | None:
        """Those that the executor has collected."""
        return None if self.own is None else self.own.collected_errors.errors or None


@dataclass(frozen=True, slots=True)
class RootField:
    """A list or a page by its key, with the resolver and the arguments that the schema and the query have for it."""

    key: str
    details: Selected
    field: GraphQLField
    info: Any
    plan: ListPlan | PagePlan
    call: Call | None

    def describe(self, run: Run) -> Awaitable[Any]:
        """Raises what the resolver raises."""
        info = self.info._replace(context=run.context, variable_values=run.coerced)
        if self.call is not None:
            return self.call(info, run.coerced)
        arguments = get_argument_values(self.field, self.details[0].node, run.executor.variable_values)
        assert self.field.resolve is not None  # noqa: S101 - Strawberry's fields have one
        return self.field.resolve(None, info, **arguments)

    async def read(self, run: Run, described: Any) -> Any:
        """The list; or what the resolver has read itself.

        Raises NotCovered where Strawberry has to tell what happened, and a failure that nulls the whole answer.
        """
        try:
            if isinstance(described, DESCRIBED):
                return await self.plan.read(described, run.context)
            if isinstance(described, StoreUnavailable):
                raise described  # noqa: TRY301 - as the reading of a list does
            path = self.info.path
            return await _awaited(
                run.executor.complete_value(self.field.type, self.details, self.info, path, described, None)
            )
        except NotCovered:
            raise
        except NoColumns as error:
            raise NotCovered from error
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the field's
            if isinstance(error, StoreUnreachable):
                run.unreachable = error
            run.executor.handle_field_error(error, self.field.type, self.details, self.info.path)
            return None


class Plan:
    """The root fields of one operation, for one choice of what its directives and its fields' arguments depend on."""

    def __init__(self, executor: "PlanExecutor", root: GraphQLObjectType, fields: GroupedFieldSet) -> None:
        self.executor, self._root, self._fields = executor, root, fields
        planned = {key: _plan(executor, root, key, details) for key, details in fields.items()}
        self._lists = [field for field in planned.values() if field is not None]
        self._others = {key: details for key, details in fields.items() if planned[key] is None}

    async def execute(self, run: Run) -> dict[str, Any]:
        """The answer's data. Raises GraphQLError where an error nulls it; others are collected by the executor."""
        described: list[Any] = []
        try:
            for field in self._lists:
                described.append(await field.describe(run))  # noqa: PERF401 - as far as it goes
        except StoreUnavailable as error:  # so those behind it are, too: they would wait for MongoDB as long
            described += [error] * (len(self._lists) - len(described))
        except Exception:  # noqa: BLE001 - whatever it is, Strawberry will come upon it again, and tell
            return await self._execute(run, self._fields)
        try:
            data = {
                field.key: await field.read(run, run.unreachable or each)
                for field, each in zip(self._lists, described, strict=True)
            }
        except NotCovered:
            run.executor.collected_errors = CollectedErrors()
            return await self._execute(run, self._fields)
        if not self._others:
            return data
        data |= await self._execute(run, self._others)
        return {key: data[key] for key in self._fields if key in data}

    async def _execute(self, run: Run, fields: GroupedFieldSet) -> dict[str, Any]:
        return await _awaited(run.executor.execute_fields(self._root, None, None, fields, None))


async def _awaited(value: Any) -> Any:
    return await value if isawaitable(value) else value


def _plan(executor: "PlanExecutor", root: GraphQLObjectType, key: str, details: Selected) -> RootField | None:
    """None for a field that is no list, or one of which something is selected that is not planned for."""
    field = root.fields.get(details[0].node.name.value)
    type_ = get_named_type(field.type) if field else None
    if field is None or not isinstance(type_, GraphQLObjectType):
        return None
    try:
        if "edges" in type_.fields:
            plan: ListPlan | PagePlan = page_plan(executor, type_, details)
        elif is_list_type(get_nullable_type(field.type)):
            plan = ListPlan(Lists([select(executor, type_, details)]))
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

    def copy(self, context: Any, coerced: dict[str, Any]) -> Self:
        """For one request: what was collected is kept by the one that all are copies of.

        What was sent for a variable is of interest to lists in literals of scalars that have none here.
        """
        _ = self._lists  # so that all share it
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.context_value, made.variable_values = context, VariableValues({}, coerced)
        made.collected_errors = CollectedErrors()
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
            run = Run(self.context_value, self.variable_values.coerced, self, self)
            return Plan(self, root_type, grouped_field_set).execute(run)
        return super().execute_root_grouped_field_set(
            root_type, root_value, grouped_field_set, serially, position_context
        )
