"""Strawberry's schema, with the fast ways into and through an execution."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Iterable
from typing import Any

from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from datacosmos.api.graphql.errors import Schema
from datacosmos.api.graphql.fast.documents import Documents
from datacosmos.api.graphql.fast.plans import PlanExecutor
from datacosmos.api.graphql.limits import limit_extensions
from datacosmos.api.graphql.operations import ChosenOperation
from datacosmos.settings import Settings


class FastSchema(Schema):
    """Executes a query of a known shape without reading it anew; any other goes through Strawberry's own steps."""

    def __init__(self, settings: Settings, **parts: Any) -> None:
        extensions = [*limit_extensions(settings), ChosenOperation]
        super().__init__(extensions=extensions, execution_context_class=PlanExecutor, **parts)
        self._documents = Documents(self._schema, settings)

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        prepared = self._documents.prepare(query or "")
        if prepared is not None and operation_name in (None, prepared.operation.name):
            result = await prepared.operation.execute(context_value, prepared.inputs(variable_values))
            if result is not None and not result.errors:
                return result
            if result is not None and all(error.path is not None for error in result.errors or ()):
                result.errors = [prepared.locate(error) for error in result.errors or ()]
                self.process_errors(result.errors)
                return result
        return await super().execute(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            allowed_operation_types,
            operation_extensions,
        )
