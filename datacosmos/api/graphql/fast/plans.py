"""A document's execution as far as it is the same at each request."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    coerce_input_value,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import GroupedFieldSet, collect_fields
from graphql.execution.executor import CollectedErrors
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.type import get_nullable_type
from strawberry.execution import optimized_is_awaitable

from datacosmos.api.graphql.fast.executor import FastExecutor


class Plan:
    """Executes a document without directives, so that what it selects does not depend on its variables."""

    def __init__(
        self,
        executor: FastExecutor,
        root: GraphQLObjectType,
        fields: GroupedFieldSet,
        variables: Sequence[GraphQLVariableSignature],
    ) -> None:
        self._executor = executor
        self._root = root
        self._fields = fields
        self._variables = variables

    @classmethod
    def of(cls, schema: GraphQLSchema, document: DocumentNode) -> "Plan | None":
        """None for a document with a variable that has a default, or a type that holds others."""
        [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        signatures = [get_variable_signature(schema, node) for node in operation.variable_definitions or ()]
        variables = [each for each in signatures if isinstance(each, GraphQLVariableSignature) and _is_plain(each)]
        bare = replace(operation, variable_definitions=())
        others = [node for node in document.definitions if node is not operation]
        is_awaitable: Any = optimized_is_awaitable
        executor = FastExecutor.build(schema, DocumentNode(definitions=(bare, *others)), is_awaitable=is_awaitable)
        root = schema.query_type
        if len(variables) < len(signatures) or not isinstance(executor, FastExecutor) or root is None:
            return None
        fields = collect_fields(schema, executor.fragments, executor.variable_values, root, bare).grouped_field_set
        return cls(executor, root, fields, variables)

    async def execute(self, context: Any, inputs: Mapping[str, Any]) -> ExecutionResult | None:
        """None where nothing was executed: a variable's value is missing, or does not fit."""
        values = self._coerce(inputs)
        if values is None:
            return None
        # What was collected is kept by the one that all are copies of; only what a request changes is its own.
        executor = copy(self._executor)
        executor.context_value = context
        executor.variable_values = values
        executor.collected_errors = CollectedErrors()
        try:
            completed: Any = executor.execute_fields(self._root, None, None, self._fields, None)
            data = await completed if executor.is_awaitable(completed) else completed
        except GraphQLError as error:
            executor.collected_errors.add(error, None)
            data = None
        return ExecutionResult(data, executor.collected_errors.errors or None)

    def _coerce(self, inputs: Mapping[str, Any]) -> VariableValues | None:
        values = VariableValues({}, {})
        for signature in self._variables:
            value = inputs.get(signature.name, Undefined)
            values.sources[signature.name] = VariableValueSource(signature, value)
            if value is Undefined and not is_non_null_type(signature.type):
                continue
            coerced = coerce_input_value(value, signature.type)
            if coerced is Undefined:
                return None
            values.coerced[signature.name] = coerced
        return values


def _is_plain(variable: GraphQLVariableSignature) -> bool:
    return variable.default is None and is_leaf_type(get_nullable_type(variable.type))
