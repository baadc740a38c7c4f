"""What is selected of each row of a list, made ready to encode many rows at once.

A selection knows which fields of the store it needs. Rows come as columns, of which `values` makes the JSON of each
value, all at once; and these fill a template of so many rows.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import orjson
from graphql import GraphQLField, GraphQLObjectType, GraphQLOutputType, get_named_type
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.field import StrawberryField

from datacosmos.api.graphql.cursors import encode_keys
from datacosmos.api.graphql.fast.calls import bare_call_of
from datacosmos.api.graphql.fast.values import NotCovered, texts_of
from datacosmos.api.graphql.listings import KEPT, Kept, Stored
from datacosmos.domain.columns import EPOCH, MILLISECOND, Column, Rows

TOLD = b"\0%b\0"  # no JSON holds a zero
START = EPOCH.replace(tzinfo=None)
Selected = list[FieldDetails]


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """The JSON of a value in each row, made of some fields of the store."""

    names: frozenset[str]
    texts: Callable[[Rows], Sequence[bytes]]


class Selection(NamedTuple):
    """A row's JSON, in which %b stands for each leaf in turn, and TOLD for what a list tells of itself by that name."""

    template: bytes
    leaves: tuple[Leaf, ...] = ()

    def filled(self, constants: Mapping[str, str]) -> bytes:
        """The template, with a list's constants in it."""
        template = self.template
        if b"\0" in template:
            for name, text in constants.items():
                template = template.replace(TOLD % name.encode(), _literal(text))
        return template


def select(executor: Executor[Any], item: GraphQLObjectType, selected: Selected) -> Selection:
    """What is selected of rows, or of edges around them. Raises NotCovered where the store keeps no such field."""
    if "node" in item.fields:
        node = object_type(item.fields["node"].type)
        return _select(executor, item, selected, partial(_edge_member, executor, node))
    return _select(executor, item, selected, partial(_member, executor, _kept(item.name)))


@cache
def cursor_leaf(name: str) -> Leaf:
    """The cursors of edges around the type of this name, without quotes."""
    kept = _kept(name)
    kind = kept.kind
    if kind is None:
        raise NotCovered

    def texts(rows: Rows) -> list[bytes]:
        keys = zip(_milliseconds(rows.column(kept.time)), rows.ids(), strict=True)
        return encode_keys(kind, keys)

    return Leaf(frozenset({kept.time, "_id"}), texts)


def _milliseconds(times: Column) -> list[int]:
    if isinstance(times, list):
        return [(time - START) // MILLISECOND for time in times]
    return times.view(np.int64).tolist()


def _select(
    executor: Executor[Any],
    item: GraphQLObjectType,
    selected: Selected,
    member: Callable[[GraphQLField, Selected], Selection],
) -> Selection:
    parts: list[bytes] = []
    leaves: list[Leaf] = []
    for key, details in executor.collect_subfields(item, selected).grouped_field_set.items():
        name = details[0].node.name.value
        made = Selection(_literal(item.name)) if name == "__typename" else member(item.fields[name], details)
        parts.append(_literal(key) + b":" + made.template)
        leaves += made.leaves
    return Selection(b"{" + b",".join(parts) + b"}", tuple(leaves))


def _edge_member(executor: Executor[Any], node: GraphQLObjectType, _: GraphQLField, details: Selected) -> Selection:
    match details[0].node.name.value:
        case "cursor":
            return Selection(b'"%b"', (cursor_leaf(node.name),))
        case "node":
            return _select(executor, node, details, partial(_member, executor, _kept(node.name)))
        case _:
            raise NotCovered


def _member(executor: Executor[Any], kept: Kept, field: GraphQLField, details: Selected) -> Selection:
    definition: StrawberryField = field.extensions["strawberry-definition"]
    if definition.base_resolver is not None:
        return Selection(b"%b", (_resolved(executor, kept, field, details),))
    if definition.python_name not in kept.fields:
        raise NotCovered
    stored = kept.fields[definition.python_name]
    if stored is None:
        return Selection(TOLD % definition.python_name.encode())
    texts = texts_of(field.type)

    def each(rows: Rows) -> Sequence[bytes]:
        return texts(rows.column(stored.name) if stored.absent is None else _filled(rows, stored))

    return Selection(b"%b", (Leaf(frozenset({stored.name}), each),))


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


def _kept(name: str) -> Kept:
    if name not in KEPT:
        raise NotCovered
    return KEPT[name]


def object_type(type_: GraphQLOutputType) -> GraphQLObjectType:
    named = get_named_type(type_)
    if not isinstance(named, GraphQLObjectType):
        raise NotCovered
    return named
