"""What is selected of each row of a list, made ready to encode many rows at once.

A selection knows which fields of the store it needs. Rows come as columns, of which `values` makes the JSON of each
value, all at once; and these fill a template of so many rows.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import orjson
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.field import StrawberryField

from datacosmos.api.graphql.cursors import encode_keys
from datacosmos.api.graphql.fast.calls import bare_call_of
from datacosmos.api.graphql.fast.values import NotCovered, texts_of
from datacosmos.api.graphql.listings import KEPT, Kept, Stored
from datacosmos.api.lists.columns import fill_rows
from datacosmos.domain.columns import EPOCH, MILLISECOND, Column, Columns, Table

START = EPOCH.replace(tzinfo=None)
Rows = Columns | Table
Selected = list[FieldDetails]


class Constant(NamedTuple):
    """What is the same in every row: a text, or the one that a list tells of itself under this name."""

    text: str = ""
    name: str = ""

    def of(self, constants: Mapping[str, str]) -> str:
        return constants[self.name] if self.name else self.text


@dataclass(frozen=True, slots=True)
class Leaf:
    """The JSON of a value in each row, made of some fields of the store."""

    names: frozenset[str]
    texts: Callable[[Rows], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Selection:
    """An object's members by the keys they are asked for under."""

    members: dict[str, "Constant | Leaf | Selection"]

    @property
    def names(self) -> frozenset[str]:
        """Fields of the store."""
        return frozenset[str]().union(*(each.names for each in self.members.values() if not isinstance(each, Constant)))

    def encode(self, constants: Mapping[str, str], rows: Rows) -> bytes:
        """Comma-separated. Raises NotCovered wherever Strawberry would have found an error."""
        leaves: list[Leaf] = []
        template = self._template(constants, leaves)
        try:
            return fill_rows(template, [leaf.texts(rows) for leaf in leaves], len(rows))
        except Exception as error:  # whatever it is, Strawberry will come upon it again, and tell
            raise NotCovered from error

    def _template(self, constants: Mapping[str, str], leaves: list[Leaf]) -> bytes:
        parts: list[bytes] = []
        for key, member in self.members.items():
            text = b"%b"
            if isinstance(member, Leaf):
                leaves.append(member)
            elif isinstance(member, Constant):
                text = _literal(member.of(constants))
            else:
                text = member._template(constants, leaves)  # noqa: SLF001 - one of the same
            parts.append(_literal(key) + b":" + text)
        return b"{" + b",".join(parts) + b"}"


def select(executor: Executor[Any], item: GraphQLObjectType, selected: Selected) -> Selection:
    """What is selected of rows, or of edges around them. Raises NotCovered where the store keeps no such field."""
    if "node" in item.fields:
        node = object_type(item.fields["node"].type)
        return _select(executor, item, selected, lambda _, details: _edge_member(executor, node, details))
    return _select(executor, item, selected, partial(_member, executor, _kept(item)))


def cursor_leaf(item: GraphQLObjectType) -> Leaf:
    """The cursors of edges around this type."""
    kept = _kept(item)
    kind = kept.kind
    if kind is None:
        raise NotCovered

    def texts(rows: Rows) -> list[bytes]:
        keys = zip(_milliseconds(rows.column(kept.time)), rows.ids(), strict=True)
        return [b'"%b"' % key for key in encode_keys(kind, keys)]

    return Leaf(frozenset({kept.time, "_id"}), texts)


def first_cursor(leaf: Leaf, rows: Rows) -> str:
    """Of the first row."""
    return leaf.texts(rows[:1])[0][1:-1].decode()


def _milliseconds(times: Column) -> list[int]:
    if isinstance(times, list):
        return [(time - START) // MILLISECOND for time in times]
    return times.view(np.int64).tolist()


Member = Callable[[GraphQLField, Selected], Constant | Leaf | Selection]


def _select(executor: Executor[Any], item: GraphQLObjectType, selected: Selected, member: Member) -> Selection:
    members: dict[str, Constant | Leaf | Selection] = {}
    for key, details in executor.collect_subfields(item, selected).grouped_field_set.items():
        name = details[0].node.name.value
        members[key] = Constant(item.name) if name == "__typename" else member(item.fields[name], details)
    return Selection(members)


def _edge_member(executor: Executor[Any], node: GraphQLObjectType, details: Selected) -> Leaf | Selection:
    match details[0].node.name.value:
        case "cursor":
            return cursor_leaf(node)
        case "node":
            return _select(executor, node, details, partial(_member, executor, _kept(node)))
        case _:
            raise NotCovered


def _member(executor: Executor[Any], kept: Kept, field: GraphQLField, details: Selected) -> Constant | Leaf:
    definition: StrawberryField = field.extensions["strawberry-definition"]
    if definition.base_resolver is not None:
        return _resolved(executor, kept, field, details)
    if definition.python_name not in kept.fields:
        raise NotCovered
    stored = kept.fields[definition.python_name]
    if stored is None:
        return Constant(name=definition.python_name)
    texts = texts_of(field.type)
    return Leaf(frozenset({stored.name}), lambda rows: texts(_filled(rows, stored)))


def _filled(rows: Rows, stored: Stored) -> Column:
    column = rows.column(stored.name)
    if stored.absent is None or not isinstance(column, list):
        return column
    return [stored.absent if value is None else value for value in column]


def _resolved(executor: Executor[Any], kept: Kept, field: GraphQLField, details: Selected) -> Leaf:
    """By the field's own resolver; none of a row looks at more than what is private of it, and its arguments."""
    resolve = bare_call_of(field, details[0].node, executor.variable_values)
    origin: Any = field.extensions["strawberry-definition"].origin
    texts = texts_of(field.type)

    def resolved(values: Sequence[Any]) -> Any:
        made = object.__new__(origin)
        for name, value in zip(kept.private, values, strict=True):
            setattr(made, name, value)
        return resolve(made)

    def resolve_all(rows: Rows) -> Sequence[bytes]:
        return texts([*map(resolved, zip(*(_filled(rows, each) for each in kept.private.values()), strict=True))])

    return Leaf(frozenset(stored.name for stored in kept.private.values()), resolve_all)


def _literal(text: str) -> bytes:
    return orjson.dumps(text).replace(b"%", b"%%")


def _kept(item: GraphQLObjectType) -> Kept:
    if item.name not in KEPT:
        raise NotCovered
    return KEPT[item.name]


def object_type(type_: GraphQLOutputType) -> GraphQLObjectType:
    named = get_named_type(type_)
    if not isinstance(named, GraphQLObjectType):
        raise NotCovered
    return named
