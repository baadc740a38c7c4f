"""Queries that were parsed and found valid before, kept with their literals taken out.

A client that writes its times into the query sends a new text each time. What is kept is the text without its strings
and whole numbers, each of which is an argument's value, and the document with a variable in place of each. The values
go through the same coercion as a literal; where they fail it, the text goes the ordinary way and gets its errors there.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    Source,
    StringValueNode,
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

from datacosmos.api.graphql.fast.operations import Operation, Plans
from datacosmos.api.graphql.limits import limit_rules, longest_name
from datacosmos.settings import Settings

LITERAL = re.compile(
    r"""
    \#[^\n\r]*                                # a comment
    | \"""(?:\\\"""|.)*?(?:\"""|\Z)         # a block string
    | (?<!")"([^"\\\n\r\ud800-\udfff]*)"(?!") # 1: a string without escapes
    | "(?:[^"\\\n\r]|\\.)*+"?                 # any other string
    | (?<![\w.])(-?(?:0|[1-9]\d*))(?![\w.])   # 2: a whole number
    """,
    re.ASCII | re.DOTALL | re.VERBOSE,
)
ZERO = "\0"  # begins what stands for a literal; no valid query holds one
KINDS = dict.fromkeys(("String", "ID", "DateTime", "Duration"), StringValueNode) | {"Int": IntValueNode}
"""Types for which a literal means what a variable of the same value means. No enum is: a string is not one."""
LONGEST, MOST = 4000, 100  # characters of a text that is kept, and how many are

Literals = Sequence[re.Match[str]]


@dataclass(frozen=True, slots=True)
class Known:
    """A valid document of one query. `spans` are the places of its literals in the text that it was parsed from."""

    document: DocumentNode
    name: str | None
    operation: Operation
    spans: tuple[tuple[int, int], ...] = ()


class Prepared(NamedTuple):
    """A document, and the values for the variables that stand for the literals of this text."""

    known: Known
    text: str
    literals: Literals

    def inputs(self, variables: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The values that were sent, and those of the literals."""
        values = {_name(number): _value(literal) for number, literal in enumerate(self.literals)}
        return {**(variables or {}), **values}

    def locate(self, error: GraphQLError) -> GraphQLError:
        """The same error at its place in this text."""
        positions = [self._place(node.loc.start) for node in error.nodes or () if node.loc]
        return GraphQLError(
            error.message, None, Source(self.text), positions, error.path, error.original_error, error.extensions
        )

    def _place(self, position: int) -> int:
        spans = zip(self.known.spans, self.literals, strict=True)
        longer = (len(literal[0]) - (end - start) for (start, end), literal in spans if end <= position)
        return position + sum(longer)


class Documents:
    """The documents used last. None stands for a text without its literals that no document can be kept for."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._rules = (*specified_rules, *limit_rules(settings))
        self._max_tokens = settings.max_query_tokens
        self._longest_name = settings.max_query_name_length
        self._known: OrderedDict[str, Known | None] = OrderedDict()
        self._plans: Plans = OrderedDict()
        self._prepare = lru_cache(MOST)(self._prepare_anew)

    def prepare(self, text: str) -> Prepared | None:
        """None for a text that has to go the ordinary way: an invalid one, or of another kind than is kept."""
        return None if len(text) > LONGEST or ZERO in text else self._prepare(text)

    def _prepare_anew(self, text: str) -> Prepared | None:
        if known := self._recall(text):
            return Prepared(known, text, ())
        literals = [match for match in LITERAL.finditer(text) if match.lastindex]
        shape = _shape(text, literals)
        if known := self._recall(shape):
            return Prepared(known, text, literals)
        return None if shape in self._known else self._learn(text, shape, literals)

    def _recall(self, key: str) -> Known | None:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def _learn(self, text: str, shape: str, literals: Literals) -> Prepared | None:
        try:
            document = parse(text, max_tokens=self._max_tokens)
        except GraphQLError:
            return None
        if longest_name(document) > self._longest_name:
            return None
        lifted = _lift(self._schema, document, literals)
        known = self._keep(shape, lifted and self._check(lifted, literals))
        if known is None and literals:
            known, literals = self._keep(text, self._check(document, ())), ()
        return known and Prepared(known, text, literals)

    def _check(self, document: DocumentNode, literals: Literals) -> Known | None:
        """None unless it is one query, and valid."""
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        if len(operations) != 1 or operations[0].operation is not OperationType.QUERY:
            return None
        if validate_document(self._schema, document, self._rules):
            return None
        name = operations[0].name
        operation = Operation(self._schema, document, self._plans)
        return Known(document, name and name.value, operation, tuple(literal.span() for literal in literals))

    def _keep(self, key: str, known: Known | None) -> Known | None:
        self._known[key] = known
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return known


class _Lifting(Visitor):
    """Puts a variable in the place of each literal, as long as one after the other is an argument of a field."""

    def __init__(self, types: TypeInfo, literals: Literals) -> None:
        super().__init__()
        self._types = types
        self._literals = literals
        self.variables: list[VariableDefinitionNode] = []

    def enter_argument(self, node: ArgumentNode, *_: Any) -> ArgumentNode | None:
        type_ = self._types.get_input_type()
        number = len(self.variables)
        if number == len(self._literals) or self._types.get_directive() or type_ is None:
            return None
        scalar, place = get_nullable_type(type_), node.value.loc
        kind = KINDS.get(scalar.name) if is_scalar_type(scalar) else None
        if kind is None or not isinstance(node.value, kind) or not place:
            return None
        if place.start != self._literals[number].start():
            return None
        variable = VariableNode(name=NameNode(value=_name(number)))
        self.variables.append(VariableDefinitionNode(variable=variable, type=parse_type(str(type_)), directives=()))
        return ArgumentNode(name=node.name, value=variable, loc=node.loc)


def _lift(schema: GraphQLSchema, document: DocumentNode, literals: Literals) -> DocumentNode | None:
    """The document with variables for all of the literals; None where one is no argument of a field."""
    types = TypeInfo(schema)
    lifting = _Lifting(types, literals)
    lifted: DocumentNode = visit(document, TypeInfoVisitor(types, lifting))
    if len(lifting.variables) != len(literals):
        return None
    definitions = tuple(
        replace(node, variable_definitions=(*(node.variable_definitions or ()), *lifting.variables))
        if isinstance(node, OperationDefinitionNode)
        else node
        for node in lifted.definitions
    )
    return DocumentNode(definitions=definitions, loc=document.loc)


def _shape(text: str, literals: Literals) -> str:
    """The text without its literals; two texts of one shape differ in nothing but those."""
    parts: list[str] = []
    position = 0
    for literal in literals:
        parts += [text[position : literal.start()], ZERO, str(literal.lastindex)]
        position = literal.end()
    return "".join([*parts, text[position:]])


def _name(number: int) -> str:
    return f"__literal{number}"


def _value(literal: re.Match[str]) -> str | int:
    return literal[1] if literal.lastindex == 1 else int(literal[2])
