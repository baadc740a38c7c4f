"""Operations that are answered more than once: subscriptions, and whatever else is asked the same way.

All who ask the same, with other cursors, and are told of the same frame, get what was written for the first of them.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from inspect import isawaitable
from typing import Any, cast

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    create_source_event_stream,
    parse,
    specified_rules,
    visit,
)
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext, validate_document

from datacosmos.api.feed.events import told
from datacosmos.api.graphql.changes import Changes
from datacosmos.api.graphql.context import Context
from datacosmos.api.graphql.errors import Schema, log_error, present_error
from datacosmos.api.graphql.fast import dump
from datacosmos.api.graphql.limits import limit_rules, longest_name
from datacosmos.api.graphql.operations import AMBIGUOUS
from datacosmos.api.lists.answers import whole
from datacosmos.errors import AnswerTooLarge, DatacosmosError
from datacosmos.settings import Settings

KEPT = 100  # parsed documents


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that a client asks for."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """In JSON: one result, or, as the last, the list of errors that refused or ended the operation."""

    body: bytes
    ended: bool = False


class Refused(Exception):
    """Errors without an execution."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid document's operation, and the variables that decide what is told of a frame."""

    document: DocumentNode
    operation: OperationDefinitionNode
    inner: frozenset[str]


class Streams:
    """Answers operations of one schema."""

    def __init__(self, schema: Schema, settings: Settings) -> None:
        self._schema, self._settings = schema, settings
        self._rules = (*specified_rules, *limit_rules(settings))
        self._prepare = lru_cache(KEPT)(self._prepare_anew)

    async def answers(self, ask: Operation, context: Context) -> AsyncGenerator[Answer]:
        try:
            prepared = self._prepare(ask.query, ask.operation_name)
            if prepared.operation.operation is OperationType.SUBSCRIPTION:
                async for answer in self._subscribed(ask, prepared, context):
                    yield answer
            else:
                yield await self._executed(ask, context)
        except Refused as refused:
            yield _refusal(refused.errors, context)

    def _prepare_anew(self, query: str, name: str | None) -> Prepared:
        """Raises Refused."""
        if len(query) > (most := self._settings.max_query_length):
            raise Refused(_too_large(f"the query has {len(query)} characters; {most} are allowed"))
        try:
            document = parse(query, max_tokens=self._settings.max_query_tokens)
        except GraphQLError as error:
            raise Refused(error) from None
        if (length := longest_name(document)) > (most := self._settings.max_query_name_length):
            raise Refused(_too_large(f"a name in the query has {length} characters; {most} are allowed"))
        operation = _chosen(document, name)
        if errors := validate_document(self._schema.graphql_schema, document, self._rules):
            raise Refused(*errors)
        return Prepared(document, operation, _inner_variables(document, operation))

    async def _executed(self, ask: Operation, context: Context) -> Answer:
        """Of a query, whose answer must be short: there is no room for long ones here."""
        with closing(context.spool):
            result = await self._schema.execute(ask.query, ask.variables, context, operation_name=ask.operation_name)
            text = whole(dump(_presented(cast("ExecutionResult", result), context)))
        if text is None:
            raise Refused(GraphQLError("", original_error=AnswerTooLarge("ask for so long an answer by POST, as JSON")))
        return Answer(text)

    async def _subscribed(self, ask: Operation, prepared: Prepared, context: Context) -> AsyncGenerator[Answer]:
        executor = StrawberryGraphQLCoreExecutionContext.build(
            self._schema.graphql_schema,
            prepared.document,
            context_value=context,
            raw_variable_values=ask.variables,
            operation_name=ask.operation_name,
        )
        if isinstance(executor, list):
            raise Refused(*executor)
        source = create_source_event_stream(executor)
        if isawaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            raise Refused(*source.errors or ())
        key = _key(ask, prepared)
        cursor: str | None = None
        events = cast("AsyncGenerator[Changes]", source)
        try:
            async for event in events:
                cursor = event.frame.cursor

                def execute(event: Changes = event) -> ExecutionResult:
                    return cast("ExecutionResult", executor.build_per_event_executor(event).execute_operation(False))

                yield Answer(self._written(event, key, execute, context))
        except DatacosmosError as error:
            yield Answer(orjson.dumps([told(error, cursor)]), ended=True)
        finally:
            await events.aclose()

    def _written(self, event: Changes, key: str, execute: Callable[[], ExecutionResult], context: Context) -> bytes:
        frame = event.frame
        if (found := frame.found(key)) is not None:
            return found
        result = execute()
        body = orjson.dumps(_presented(result, context))
        return body if result.errors else frame.keep(key, body)


def _chosen(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) > 1 and name is None:
        raise Refused(GraphQLError(AMBIGUOUS, operations))
    for operation in operations:
        if name is None or (operation.name and operation.name.value == name):
            return operation
    raise Refused(GraphQLError("the query has no operation of that operationName"))


def _inner_variables(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    """All but those that are arguments of the operation's own fields alone."""
    names: set[str] = set()

    class Names(Visitor):
        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            names.add(node.name.value)

    parts: list[Node] = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    for selection in operation.selection_set.selections:
        if isinstance(selection, FieldNode):
            parts += [*(selection.directives or ()), *([selection.selection_set] if selection.selection_set else ())]
        else:
            parts.append(selection)
    for part in parts:
        visit(part, Names())
    return frozenset(names)


def _key(ask: Operation, prepared: Prepared) -> str:
    inner = {name: value for name, value in (ask.variables or {}).items() if name in prepared.inner}
    return f"{ask.operation_name}|{orjson.dumps(inner, option=orjson.OPT_SORT_KEYS).decode()}|{ask.query}"


def _presented(result: ExecutionResult, context: Context) -> Mapping[str, Any]:
    for error in result.errors or ():
        log_error(error)
    errors = [present_error(error, context.request_id) for error in result.errors or ()]
    return {"data": result.data} | ({"errors": errors} if errors else {})


def _refusal(errors: tuple[GraphQLError, ...], context: Context) -> Answer:
    for error in errors:
        log_error(error)
    return Answer(orjson.dumps([present_error(error, context.request_id) for error in errors]), ended=True)


def _too_large(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "QUERY_TOO_LARGE"})
