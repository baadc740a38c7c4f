"""A kept query, with the plans for it: no request parses, validates or collects what one before it did."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Undefined,
    ValueNode,
    VariableNode,
    Visitor,
    get_variable_values,
    is_leaf_type,
    is_non_null_type,
    visit,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.type import get_nullable_type
from strawberry.execution import optimized_is_awaitable

from datacosmos.api.graphql.fast.plans import Plan, PlanExecutor

MOST = 16  # plans for one query, by what it asks for with other values


class Operation:
    """One operation of a valid document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self._schema, self._nodes = schema, list(operation.variable_definitions or ())
        self._bare = replace(operation, variable_definitions=())
        others = [node for node in document.definitions if node is not operation]
        self._document = DocumentNode(definitions=(self._bare, *others))
        leaves = [_variable(get_variable_signature(schema, node)) for node in self._nodes]
        known = [each for each in leaves if each is not None]
        self._variables = known if len(known) == len(leaves) else None
        self._inner = _inner_variables(schema, document)
        self._plans: OrderedDict[tuple[Any, ...], tuple[PlanExecutor, Plan]] = OrderedDict()

    async def execute(self, context: Any, inputs: dict[str, Any]) -> ExecutionResult | None:
        """None where nothing was executed: a variable's value is missing, or does not fit."""
        values = self._coerce(inputs)
        found = values and self._plan(values)
        if values is None or found is None:
            return None
        executor = found[0].copy(context, values)
        data: dict[str, Any] | None = None
        try:
            data = await found[1].execute(executor)
        except GraphQLError as error:
            executor.collected_errors.add(error, None)
        return ExecutionResult(data, executor.collected_errors.errors or None)

    def _plan(self, values: VariableValues) -> tuple[PlanExecutor, Plan] | None:
        key = tuple(values.coerced.get(name, Undefined) for name in self._inner)
        try:
            found = self._plans.get(key)
        except TypeError:  # a list or an object, which no key can hold
            return None
        if found is None:
            found = self._plans[key] = self._make_plan(values)
            if len(self._plans) > MOST:
                self._plans.popitem(last=False)
        return found

    def _make_plan(self, values: VariableValues) -> tuple[PlanExecutor, Plan]:
        is_awaitable: Any = optimized_is_awaitable
        executor = PlanExecutor.build(self._schema, self._document, is_awaitable=is_awaitable)
        root = self._schema.query_type
        assert isinstance(executor, PlanExecutor)  # noqa: S101 - the document is valid, and has one operation
        assert root is not None  # noqa: S101 - so there is something to ask for
        executor.variable_values = values
        collected = collect_fields(self._schema, executor.fragments, values, root, self._bare)
        return executor, Plan(executor, root, collected.grouped_field_set)

    def _coerce(self, inputs: dict[str, Any]) -> VariableValues | None:
        if self._variables is None:
            found = get_variable_values(self._schema, self._nodes, inputs)
            return found if isinstance(found, VariableValues) else None
        values = VariableValues({}, {})
        for name, signature, coerce, is_needed in self._variables:
            value = inputs.get(name, Undefined)
            values.sources[name] = VariableValueSource(signature, value)
            if value is Undefined or value is None:
                if is_needed:
                    return None
                if value is None:
                    values.coerced[name] = None
                continue
            try:
                values.coerced[name] = coerce(value)
            except Exception:  # noqa: BLE001 - whatever it is, Strawberry will come upon it again, and tell
                return None
        return values


class Variable(NamedTuple):
    """A variable of a leaf type, without a default, and how its value is read."""

    name: str
    signature: GraphQLVariableSignature
    coerce: Callable[[Any], Any]
    is_needed: bool


def _variable(signature: GraphQLVariableSignature | GraphQLError) -> Variable | None:
    """None where it is of another kind."""
    if isinstance(signature, GraphQLError) or signature.default is not None:
        return None
    leaf = get_nullable_type(signature.type)
    if not is_leaf_type(leaf):
        return None
    return Variable(signature.name, signature, leaf.coerce_input_value, is_non_null_type(signature.type))


class _Inner(Visitor):
    """Finds the variables of directives, and of arguments below the root's fields: what a plan depends on."""

    def __init__(self, types: TypeInfo, root: Any) -> None:
        super().__init__()
        self._types, self._root = types, root
        self.names: dict[str, None] = {}

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        if self._types.get_directive() or self._types.get_parent_type() is not self._root:
            self.names |= dict.fromkeys(_names(node.value))


def _inner_variables(schema: GraphQLSchema, document: DocumentNode) -> tuple[str, ...]:
    types = TypeInfo(schema)
    inner = _Inner(types, schema.query_type)
    visit(document, TypeInfoVisitor(types, inner))
    return tuple(inner.names)


def _names(value: ValueNode) -> Iterator[str]:
    match value:
        case VariableNode():
            yield value.name.value
        case ListValueNode():
            for each in value.values:
                yield from _names(each)
        case ObjectValueNode():
            for each in value.fields:
                yield from _names(each.value)
        case _:
            pass
