"""Queries that were parsed and found valid before, kept with their literals taken out.

A client that writes its times into the query sends a new text each time. What is kept is the shape of it, the text
with a variable in place of each string and whole number. Their values go through the same coercion as a literal; where
they fail it, the text goes the ordinary way and gets its errors there.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Source,
    TypeInfo,
    TypeInfoVisitor,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_nullable_type,
    is_scalar_type,
    parse,
    parse_type,
    specified_rules,
    visit,
)
from strawberry.schema.schema import validate_document

from datacosmos.api.graphql.fast.operations import MOST_PLANS, Operation
from datacosmos.api.graphql.limits import limit_rules, longest_name
from datacosmos.settings import Settings

LITERAL = re.compile(
    r"""
    \#[^\n\r]*                                            # a comment
    | \"""(?:\\\"""|.)*?(?:\"""|\Z)                     # a block string
    | (?<!")"(?P<string>[^"\\\n\r\ud800-\udfff]*)"(?!")  # a string without escapes
    | "(?:[^"\\\n\r]|\\.)*+"?                             # any other string
    | (?<![\w.])(?P<whole>-?(?:0|[1-9]\d*))(?![\w.])      # a whole number
    """,
    re.ASCII | re.DOTALL | re.VERBOSE,
)
OURS = "__literal_"  # begins the names of the variables that stand for literals
KINDS = dict.fromkeys(("String", "ID", "DateTime", "Duration"), f"{OURS}string") | {"Int": f"{OURS}whole"}
"""Types for which a literal means what a variable of the same value means. No enum is: a string is not one."""
LONGEST, MOST = 4000, 100  # characters of a text that is kept, and how many are


class Prepared(NamedTuple):
    """An operation, and the values for the variables that stand for the literals of this text, in order."""

    operation: Operation
    text: str
    literals: Mapping[str, re.Match[str]]
    values: Mapping[str, str | int]

    def inputs(self, variables: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The values that were sent, and those of the literals."""
        return {**variables, **self.values} if variables else self.values

    def locate(self, error: GraphQLError) -> GraphQLError:
        """The same error at its place in this text."""
        positions = [self._place(node.loc.start) for node in error.nodes or () if node.loc]
        return GraphQLError(
            error.message, None, Source(self.text), positions, error.path, error.original_error, error.extensions
        )

    def _place(self, position: int) -> int:
        for name, literal in self.literals.items():
            if position > literal.start():
                position += len(literal[0]) - len(_variable(name))
        return position


class Documents:
    """The operations of the texts used last, and their plans."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._rules = (*specified_rules, *limit_rules(settings))
        self._max_tokens = settings.max_query_tokens
        self._longest_name = settings.max_query_name_length
        self._plans = lru_cache(MOST_PLANS)(Operation.plan)
        self._learn = lru_cache(MOST)(self._learn_anew)
        self._prepare = lru_cache(MOST)(self._prepare_anew)

    def prepare(self, text: str) -> Prepared | None:
        """None for a text that has to go the ordinary way: an invalid one, or of another kind than is kept."""
        return None if len(text) > LONGEST or OURS in text else self._prepare(text)

    def _prepare_anew(self, text: str) -> Prepared | None:
        found = [match for match in LITERAL.finditer(text) if match.lastgroup]
        literals = {f"{OURS}{match.lastgroup}{number}": match for number, match in enumerate(found)}
        if operation := self._learn(_shape(text, literals)):
            return Prepared(operation, text, literals, {name: _value(each) for name, each in literals.items()})
        operation = self._learn(text)
        return operation and Prepared(operation, text, {}, {})

    def _learn_anew(self, text: str) -> Operation | None:
        """None unless it is one query, and valid."""
        try:
            document = parse(text, max_tokens=self._max_tokens)
        except GraphQLError:
            return None
        if longest_name(document) > self._longest_name:
            return None
        document = _with_definitions(self._schema, document)
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        if len(operations) != 1 or operations[0].operation is not OperationType.QUERY:
            return None
        invalid = validate_document(self._schema, document, self._rules)
        return None if invalid else Operation(self._schema, document, self._plans)


class _Literals(Visitor):
    """Defines the variables that stand for literals, but for those where a literal would mean something else."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types
        self.definitions: list[VariableDefinitionNode] = []

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        type_ = self._types.get_input_type()
        scalar = get_nullable_type(type_) if type_ else None
        if is_scalar_type(scalar) and node.name.value.startswith(KINDS.get(scalar.name, " ")):
            self.definitions.append(VariableDefinitionNode(variable=node, type=parse_type(str(type_)), directives=()))


def _with_definitions(schema: GraphQLSchema, document: DocumentNode) -> DocumentNode:
    types = TypeInfo(schema)
    literals = _Literals(types)
    visit(document, TypeInfoVisitor(types, literals))
    definitions = tuple(
        replace(node, variable_definitions=(*(node.variable_definitions or ()), *literals.definitions))
        if isinstance(node, OperationDefinitionNode)
        else node
        for node in document.definitions
    )
    return DocumentNode(definitions=definitions, loc=document.loc)


def _shape(text: str, literals: Mapping[str, re.Match[str]]) -> str:
    """The text with variables for its literals; two texts of one shape differ in nothing but those."""
    parts: list[str] = []
    position = 0
    for name, literal in literals.items():
        parts += [text[position : literal.start()], _variable(name)]
        position = literal.end()
    return "".join([*parts, text[position:]])


def _variable(name: str) -> str:
    """As it is written; what follows begins a new word."""
    return f"${name} "


def _value(literal: re.Match[str]) -> str | int:
    return literal["string"] if literal.lastgroup == "string" else int(literal["whole"])
