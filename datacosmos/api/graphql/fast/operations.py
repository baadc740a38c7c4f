"""A kept query, with the plans for it: no request parses, validates or collects what one before it did."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    coerce_input_value,
    get_variable_values,
    is_leaf_type,
    is_non_null_type,
    visit,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues
from graphql.type import get_nullable_type
from strawberry.execution import optimized_is_awaitable
from strawberry.types import ExecutionResult

from datacosmos.api.graphql.fast.plans import Plan, PlanExecutor, Run

MOST_PLANS = 200  # that are kept, of half a megabyte each where a query is as large as it may be
Plans = Callable[..., "Plan"]
"""Those used last of all operations: `Operation.plan`, or what was made before for the same."""
LONGEST = 1000  # characters of a value that a plan is kept for


class Operation:
    """The operation of a valid document that has one."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, plans: Plans) -> None:
        [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self.name = operation.name and operation.name.value
        self._schema, self._bare = schema, replace(operation, variable_definitions=())
        others = [node for node in document.definitions if node is not operation]
        self._document = DocumentNode(definitions=(self._bare, *others))
        self._variables = [_variable(schema, node) for node in operation.variable_definitions or ()]
        self._inner = _inner_variables(schema, document)
        self._plans = plans

    async def execute(self, context: Any, inputs: Mapping[str, Any]) -> ExecutionResult | None:
        """None where nothing was executed: a variable's value is missing, does not fit, or no plan is kept for it."""
        coerced = self._coerce(inputs)
        plan = None if coerced is None else self._plan(coerced)
        if coerced is None or plan is None:
            return None
        run = Run(context, coerced, plan.executor)
        data: dict[str, Any] | None = None
        try:
            data = await plan.execute(run)
        except GraphQLError as error:
            run.executor.collected_errors.add(error, None)
        return ExecutionResult(data, run.errors)

    def plan(self, *values: Any) -> Plan:
        """For these values of the variables that a plan depends on; it holds no other."""
        is_awaitable: Any = optimized_is_awaitable
        executor = PlanExecutor.build(self._schema, self._document, is_awaitable=is_awaitable)
        root = self._schema.query_type
        assert isinstance(executor, PlanExecutor)  # noqa: S101 - the document is valid, and has one operation
        assert root is not None  # noqa: S101 - so there is something to ask for
        given = zip(self._inner, values, strict=True)
        executor.variable_values = VariableValues({}, {name: value for name, value in given if value is not Undefined})
        collected = collect_fields(self._schema, executor.fragments, executor.variable_values, root, self._bare)
        return Plan(executor, root, collected.grouped_field_set)

    def _plan(self, coerced: Mapping[str, Any]) -> Plan | None:
        values = [coerced.get(name, Undefined) for name in self._inner]
        if any(isinstance(value, str) and len(value) > LONGEST for value in values):
            return None
        try:
            return self._plans(self, *values)
        except TypeError:  # a list or an object, which no plan can be found by
            return None

    def _coerce(self, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        coerced: dict[str, Any] = {}
        for name, coerce, is_needed, default in self._variables:
            value = inputs.get(name, default)
            if value is Undefined and not is_needed:
                continue
            try:
                value = coerce(value) if name in inputs and value is not None else value
            except Exception:  # noqa: BLE001 - whatever it is, Strawberry will come upon it again, and tell
                return None
            if value is Undefined or (is_needed and value is None):
                return None
            coerced[name] = value
        return coerced


class Variable(NamedTuple):
    """A variable, and how its value is read; `default` is read already."""

    name: str
    coerce: Callable[[Any], Any]
    is_needed: bool
    default: Any


def _variable(schema: GraphQLSchema, node: VariableDefinitionNode) -> Variable:
    signature = get_variable_signature(schema, node)
    assert not isinstance(signature, GraphQLError)  # noqa: S101 - the document is valid
    inside: Any = get_nullable_type(signature.type)
    coerce: Any = inside.coerce_input_value if is_leaf_type(inside) else partial(coerce_input_value, type_=inside)
    found = get_variable_values(schema, [node], {})
    default = found.coerced.get(signature.name, Undefined) if isinstance(found, VariableValues) else Undefined
    return Variable(signature.name, coerce, is_non_null_type(signature.type), default)


class _Inner(Visitor):
    """Finds the variables of directives, and of arguments below the root's fields: what a plan depends on."""

    def __init__(self, types: TypeInfo, root: Any) -> None:
        super().__init__()
        self._types, self._elsewhere = types, (root, None)  # none has the variable's own definition
        self.names: dict[str, None] = {}

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        if self._types.get_directive() or self._types.get_parent_type() not in self._elsewhere:
            self.names[node.name.value] = None


def _inner_variables(schema: GraphQLSchema, document: DocumentNode) -> tuple[str, ...]:
    types = TypeInfo(schema)
    inner = _Inner(types, schema.query_type)
    visit(document, TypeInfoVisitor(types, inner))
    return tuple(inner.names)
