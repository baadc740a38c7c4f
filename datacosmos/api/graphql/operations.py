"""Which operation of a document is meant."""

from collections.abc import Iterator

from graphql import GraphQLError, OperationDefinitionNode
from strawberry.extensions import SchemaExtension

AMBIGUOUS = "the query holds several operations: operationName must say which"


class ChosenOperation(SchemaExtension):
    """Refuses a document of several operations where none is named; Strawberry would execute the first."""

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        definitions = context.graphql_document.definitions if context.graphql_document else ()
        operations = [node for node in definitions if isinstance(node, OperationDefinitionNode)]
        if len(operations) > 1 and context.context.operation_name is None:
            context.pre_execution_errors = [GraphQLError(AMBIGUOUS, operations)]
        yield
