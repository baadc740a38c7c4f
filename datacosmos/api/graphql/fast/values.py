"""Values of a leaf's type, many at once: whether they are such, and the JSON of each."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial
from itertools import chain
from math import isfinite
from types import NoneType
from typing import Any

import numpy as np
import orjson
from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLOutputType, get_named_type

from datacosmos.api.lists.columns import OPTIONS, time_texts, value_texts
from datacosmos.domain.columns import Column

MOST = 1 << 31  # beyond which no Int is
Values = list[Any]
Texts = Callable[[Column], Sequence[bytes]]
SCALARS: dict[str, type] = {
    "String": str,
    "ID": str,
    "Float": float,
    "Boolean": bool,
    "DateTime": datetime,
    "Int": int,
    "BigInt": int,
}
TEXTUAL = frozenset({"String", "ID"})
ARRAYS = {"DateTime": "M", "Float": "f"}  # NumPy's kinds


class NotCovered(Exception):
    """A list that has to be completed by Strawberry: an error or a null is in it, or a field is not what it seems."""


def texts_of(type_: GraphQLOutputType) -> Texts:
    """What makes the JSON of each value in a column. It and what it gives raise NotCovered, as `checking` does."""
    check, is_needed = checking(type_), isinstance(type_, GraphQLNonNull)
    inside = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(inside, GraphQLList):
        return partial(_list_texts, texts_of(inside.of_type), b"" if is_needed else b"null")
    if isinstance(inside, GraphQLEnumType) or inside.name in TEXTUAL:
        return lambda column: _string_texts(check([*column]))
    return partial(_scalar_texts, check, ARRAYS.get(inside.name, ""), is_needed)


def _scalar_texts(check: Callable[[Values], Values], kind: str, is_needed: bool, column: Column) -> Sequence[bytes]:
    """None of them has a comma in it."""
    if isinstance(column, list) or column.dtype.kind == "i":
        values = check([*column] if isinstance(column, list) else column.tolist())
        return orjson.dumps(values, option=OPTIONS)[1:-1].split(b",") if values else []
    if column.dtype.kind != kind or (is_needed and kind == "f" and not np.isfinite(column).all()):
        raise NotCovered
    return value_texts(column) if kind == "f" else time_texts(column.view(np.int64))


def _string_texts(values: Values) -> Sequence[bytes]:
    """Encoded at once, and cut where one ends and the next begins: without escapes, quotes stand nowhere else."""
    together = orjson.dumps(values)
    if not values or b"\\" in together or None in values:
        return [*map(orjson.dumps, values)]
    inner = together[2:-2].replace(b'","', b'"\0"')  # without the first quote, which a comma might follow, and the last
    return (b'"%b"' % inner).split(b"\0")


def _list_texts(texts: Texts, null: bytes, column: Column) -> Sequence[bytes]:
    """Equal lists, of which there are many, are encoded once."""
    if not set(map(type, column)) <= ({list, tuple, NoneType} if null else {list, tuple}):
        raise NotCovered

    @cache
    def once(items: tuple[Any, ...]) -> bytes:
        return b"[%b]" % b",".join(texts([*items]))

    return [null if items is None else once(tuple(items)) for items in column]


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
