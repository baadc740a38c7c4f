"""What is selected of each row of a list, made ready to encode many rows at once.

A selection knows which fields of the store it needs. Rows come as columns, which fill a template, or as records, of
which each field is taken, checked and converted over all rows in turn, for orjson to encode them together.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain, repeat
from math import isfinite
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_argument_values,
    get_named_type,
    is_leaf_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from datacosmos.api.graphql.cursors import Kind, encode_keys
from datacosmos.api.graphql.listings import KEPT, Kept
from datacosmos.api.lists.columns import OPTIONS, fill_rows, time_texts, value_texts
from datacosmos.domain.columns import EPOCH, MILLISECOND, Columns, Records

MOST = 1 << 31  # beyond which no Int is
START = EPOCH.replace(tzinfo=None)
Selected = list[FieldDetails]
Values = list[Any]
SCALARS: dict[str, type] = {
    "String": str,
    "ID": str,
    "Float": float,
    "Boolean": bool,
    "DateTime": datetime,
    "Int": int,
    "BigInt": int,
}


class NotCovered(Exception):
    """A list that has to be completed by Strawberry: an error or a null is in it, or a field is not what it seems."""


class Constant(NamedTuple):
    """What is the same in every row: a text, or the one that a list tells of itself under this name."""

    text: str = ""
    name: str = ""

    def of(self, constants: Mapping[str, str]) -> str:
        return constants[self.name] if self.name else self.text


@dataclass(frozen=True, slots=True)
class Leaf:
    """Values for orjson, made of some fields of each record; and their texts, where columns hold them.

    `kept` is the field of the store whose values they are, as they stand there.
    """

    names: frozenset[str]
    values: Callable[[Records], Values]
    texts: Callable[[Columns], Sequence[bytes]] | None = None
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """An object's members by the keys they are asked for under."""

    members: dict[str, "Constant | Leaf | Selection"]

    @property
    def names(self) -> frozenset[str]:
        """Fields of the store."""
        return frozenset[str]().union(*(each.names for each in self.members.values() if not isinstance(each, Constant)))

    def encode(self, constants: Mapping[str, str], rows: Columns | Records) -> bytes:
        """Comma-separated. Raises NotCovered wherever Strawberry would have found an error."""
        try:
            if isinstance(rows, Columns):
                leaves: list[Leaf] = []
                template = self._template(constants, leaves)
                return fill_rows(template, [_texts(leaf, rows) for leaf in leaves], len(rows))
            return orjson.dumps(self._objects(constants, rows), option=OPTIONS)[1:-1]
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

    @property
    def _is_kept(self) -> bool:
        """Whether its members are fields of the store by their names there."""
        return all(isinstance(member, Leaf) and member.kept == key for key, member in self.members.items())

    def _objects(self, constants: Mapping[str, str], rows: Records) -> list[dict[str, Any]]:
        columns: list[Iterable[Any]] = []
        for member in self.members.values():
            if isinstance(member, Leaf):
                columns.append(member.values(rows))
            elif isinstance(member, Constant):
                columns.append(repeat(member.of(constants), len(rows)))
            else:
                columns.append(member._objects(constants, rows))  # noqa: SLF001
        keys = tuple(self.members)
        if not keys:
            return [{} for _ in rows]
        if self._is_kept and all(tuple(row) == keys for row in rows):
            return rows
        return [dict(zip(keys, row, strict=False)) for row in zip(*columns, strict=True)]


def select(executor: Executor[Any], item: GraphQLObjectType, selected: Selected) -> Selection:
    """What is selected of rows, or of edges around them. Raises NotCovered where the store keeps no such field."""
    if "node" in item.fields:
        node = object_type(item.fields["node"].type)
        return _select(executor, item, selected, lambda _, details: _edge_member(executor, node, details))
    return _select(executor, item, selected, partial(_member, executor, _kept(item)))


def cursor_leaf(item: GraphQLObjectType) -> Leaf:
    """The cursors of edges around this type."""
    kept = _kept(item)
    if kept.kind is None:
        raise NotCovered
    take = itemgetter(kept.time, "_id")

    def values(rows: Records) -> Values:
        keys = (((time - START) // MILLISECOND, name.encode()) for time, name in map(take, rows))
        return [key.decode() for key in encode_keys(kept.kind or Kind.POINTS, keys)]

    return Leaf(frozenset({kept.time, "_id"}), values, _cursor_texts)


def first_cursor(leaf: Leaf, rows: Columns | Records) -> str:
    """Of the first row."""
    if isinstance(rows, Columns):
        return _texts(leaf, rows[:1])[0][1:-1].decode()
    return leaf.values(rows[:1])[0]


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
    name, absent, check = stored.name, stored.absent, checking(field.type)
    as_it_is = None if isinstance(get_named_type(field.type), GraphQLEnumType) else name
    return Leaf(
        frozenset({name}), lambda rows: check([row.get(name, absent) for row in rows]), TEXTS.get(name), as_it_is
    )


def _resolved(executor: Executor[Any], kept: Kept, field: GraphQLField, details: Selected) -> Leaf:
    """By the field's own resolver; none of a row looks at more than what is private of it, and its arguments."""
    definition: StrawberryField = field.extensions["strawberry-definition"]
    if definition.extensions or not all(is_leaf_type(get_named_type(each.type)) for each in field.args.values()):
        raise NotCovered
    resolve: Any = definition.base_resolver and definition.base_resolver.wrapped_func
    given = get_argument_values(field, details[0].node, executor.variable_values)
    names = {to_camel_case(each.python_name): each.python_name for each in definition.arguments}
    arguments = {names[name]: value for name, value in given.items()}
    origin: Any = definition.origin
    check = checking(field.type)
    private = [(name, stored.name, stored.absent) for name, stored in kept.private.items()]

    def resolved(row: Mapping[str, Any]) -> Any:
        made = object.__new__(origin)
        for name, stored, absent in private:
            setattr(made, name, row.get(stored, absent))
        return resolve(made, **arguments)

    return Leaf(frozenset(stored for _, stored, _ in private), lambda rows: check([resolved(row) for row in rows]))


def checking(type_: GraphQLOutputType) -> Callable[[Values], Values]:
    """What raises NotCovered unless all are values of this type, and gives them as orjson is to have them."""
    is_needed = isinstance(type_, GraphQLNonNull)
    inside = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(inside, GraphQLList):
        return partial(
            _check_lists, checking(inside.of_type), is_enum=isinstance(get_named_type(inside), GraphQLEnumType)
        )
    if isinstance(inside, GraphQLEnumType):
        names = {member.value: name for name, member in inside.values.items()} | ({} if is_needed else {None: None})
        return lambda values: list(map(names.__getitem__, values))
    kind = SCALARS.get(inside.name)
    if kind is None:
        raise NotCovered
    kinds = {kind} if is_needed else {kind, NoneType}
    if kind is float and is_needed:
        return partial(_check_finite, kinds)
    return partial(_check_small if inside.name == "Int" else _check, kinds)


def _check(kinds: set[type], values: Values) -> Values:
    if not set(map(type, values)) <= kinds:
        raise NotCovered
    return values


def _check_finite(kinds: set[type], values: Values) -> Values:
    if not all(map(isfinite, _check(kinds, values))):
        raise NotCovered
    return values


def _check_small(kinds: set[type], values: Values) -> Values:
    if any(each is not None and not -MOST <= each < MOST for each in _check(kinds, values)):
        raise NotCovered
    return values


def _check_lists(check: Callable[[Values], Values], values: Values, *, is_enum: bool) -> Values:
    if is_enum:
        return [check(each) for each in _check({list}, values)]
    check(list(chain.from_iterable(_check({list}, values))))
    return values


def _cursor_texts(some: Columns) -> list[bytes]:
    assert some.id is not None  # noqa: S101 - ids were asked for
    keys = zip(some.time.tolist(), some.id.tolist(), strict=True)
    return [b'"%b"' % key for key in encode_keys(Kind.POINTS, keys)]


def _id_texts(some: Columns) -> list[bytes]:
    assert some.id is not None  # noqa: S101 - they were asked for
    return [orjson.dumps(each.decode()) for each in some.id.tolist()]


TEXTS: dict[str, Callable[[Columns], Sequence[bytes]]] = {
    "_id": _id_texts,
    "time": lambda some: time_texts(some.time),
    "value": lambda some: value_texts(some.value),
}


def _texts(leaf: Leaf, some: Columns) -> Sequence[bytes]:
    assert leaf.texts is not None  # noqa: S101 - columns are read only for what they hold
    return leaf.texts(some)


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
