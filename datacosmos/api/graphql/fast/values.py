"""Values of a leaf's type, many at once: whether they are such, and the JSON of each."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from math import isfinite
from types import NoneType
from typing import Any

import numpy as np
import orjson
from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLOutputType, get_named_type
from numpy.typing import NDArray

from datacosmos.api.lists.columns import OPTIONS, time_texts, value_texts
from datacosmos.domain.columns import Column

MOST = 1 << 31  # beyond which no Int is
Values = list[Any]
Texts = Callable[[Column], Sequence[bytes]]
Check = Callable[[Any], Values]
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
    """What makes the JSON of each value in a column that has some. Both raise NotCovered, as `checking` does."""
    check, is_needed = checking(type_), isinstance(type_, GraphQLNonNull)
    inside = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(inside, GraphQLList):
        return lambda column: _list_texts(check(column))
    if isinstance(inside, GraphQLEnumType) or inside.name in TEXTUAL:
        return lambda column: _string_texts(check(column))
    kind = ARRAYS.get(inside.name, "")
    return lambda column: (
        orjson.dumps(check(column), option=OPTIONS)[1:-1].split(b",")  # none of them has a comma in it
        if isinstance(column, list)
        else _array_texts(check, kind, is_needed, column)
    )


def _array_texts(check: Check, kind: str, is_needed: bool, column: NDArray[Any]) -> Sequence[bytes]:
    if column.dtype.kind == "i":
        return orjson.dumps(check(column.tolist()))[1:-1].split(b",")
    if column.dtype.kind != kind or (is_needed and kind == "f" and not np.isfinite(column).all()):
        raise NotCovered
    return value_texts(column) if kind == "f" else time_texts(column.view(np.int64))


def _string_texts(values: Values) -> Sequence[bytes]:
    """Encoded at once, and cut where one ends and the next begins: without escapes, quotes stand nowhere else."""
    together = orjson.dumps(values)
    if b"\\" in together or None in values:
        return [*map(orjson.dumps, values)]
    inner = together[2:-2].replace(b'","', b'"\0"')  # without the first quote, which a comma might follow, and the last
    return (b'"%b"' % inner).split(b"\0")


def _list_texts(lists: Values) -> Sequence[bytes]:
    """Likewise, where nothing inside looks like an end and a beginning: then there are no more of these than lists."""
    texts = orjson.dumps(lists)[1:-1].replace(b"],[", b"]\0[").split(b"\0")
    return texts if len(texts) == len(lists) else [*map(orjson.dumps, lists)]


def checking(type_: GraphQLOutputType) -> Check:
    """What raises NotCovered unless all are values of this type, and gives them as orjson is to have them."""
    is_needed = isinstance(type_, GraphQLNonNull)
    inside = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(inside, GraphQLList):
        is_enum = isinstance(get_named_type(inside), GraphQLEnumType)
        return partial(_check_lists, checking(inside.of_type), is_enum=is_enum)
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
    numbers = [each for each in _check(kinds, values) if each is not None]
    if numbers and not -MOST <= min(numbers) <= max(numbers) < MOST:
        raise NotCovered
    return values


def _check_lists(check: Check, lists: Values, *, is_enum: bool) -> Values:
    _check({list, tuple}, lists)
    if is_enum:
        names = {each: check(each) for each in set(map(tuple, lists))}  # equal ones, of which there are many
        return [names[each] for each in map(tuple, lists)]
    check(list(chain.from_iterable(lists)))
    return lists
