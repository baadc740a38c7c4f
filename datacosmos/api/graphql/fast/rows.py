"""What is selected of each item of a list, made ready to encode many items at once."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import orjson
from graphql import (
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    is_leaf_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.field import StrawberryField

from datacosmos.api.graphql.cursors import Kind, encode_key
from datacosmos.api.graphql.listings import Column
from datacosmos.api.texts import fill_rows, time_texts, value_texts
from datacosmos.domain.columns import Columns

UTC_OFFSET = timedelta(0)
Selected = list[FieldDetails]
Complete = Callable[[Any], Any]


class NotCovered(Exception):
    """A list that has to be completed by Strawberry: an error or a null is in it, or a field is not what it seems."""


class ColumnRows(NamedTuple):
    """Rows made of columns alone: %b in `template` stands for each of the columns in turn."""

    template: bytes
    columns: list[Column]

    def encode(self, some: Columns) -> bytes:
        """Raises NotCovered for a value that no JSON number can be."""
        if Column.VALUE in self.columns and not np.isfinite(some.value).all():
            raise NotCovered
        texts = {column: _texts(column, some) for column in set(self.columns)}
        return fill_rows(self.template, [texts[column] for column in self.columns], len(some))


def column_rows(
    executor: Executor[Any], item: GraphQLObjectType, selected: Selected, covered: Mapping[str, Column | str]
) -> ColumnRows | None:
    """None where a field is selected that no column holds."""
    parts: list[bytes] = []
    columns: list[Column] = []
    for key, details in executor.collect_subfields(item, selected).grouped_field_set.items():
        name = details[0].node.name.value
        held = item.name if name == "__typename" else covered.get(name)
        if name == "node":
            node = column_rows(executor, object_type(item.fields[name].type), details, covered)
            if node is None:
                return None
            text = node.template
            columns += node.columns
        elif isinstance(held, str):
            text = _literal(held)
        elif held is None:
            return None
        else:
            text = b"%b"
            columns.append(held)
        parts.append(_literal(key) + b":" + text)
    return ColumnRows(b"{" + b",".join(parts) + b"}", columns)


def _literal(text: str) -> bytes:
    return orjson.dumps(text).replace(b"%", b"%%")


def _texts(column: Column, some: Columns) -> list[bytes]:
    match column:
        case Column.TIME:
            return time_texts(some.time)
        case Column.VALUE:
            return value_texts(some.value)
        case Column.CURSOR:
            return [b'"%b"' % cursor for cursor in _cursors(some)]


def _cursors(some: Columns) -> list[bytes]:
    assert some.id is not None  # noqa: S101 - ids were asked for
    return [encode_key(Kind.POINTS, *key) for key in zip(some.time.tolist(), some.id.tolist(), strict=True)]


def cursor_of_column(some: Columns) -> str:
    """Of its first row."""
    return _cursors(some[:1])[0].decode()


def object_rows(
    executor: Executor[Any], item: GraphQLObjectType, selected: Selected, make: Callable[[Any], object]
) -> Callable[[Sequence[Any]], bytes]:
    """What encodes rows that need whole items. It raises NotCovered wherever Strawberry would have found an error."""
    complete = _completing_object(executor, item, selected)

    def encode(some: Sequence[Any]) -> bytes:
        try:
            return orjson.dumps([complete(make(item)) for item in some], option=orjson.OPT_UTC_Z)[1:-1]
        except Exception as error:  # whatever it is, Strawberry will come upon it again, and tell
            raise NotCovered from error

    return encode


def _completing_object(executor: Executor[Any], item: GraphQLObjectType, selected: Selected) -> Complete:
    fields: list[tuple[str, Complete, Complete]] = []
    for key, details in executor.collect_subfields(item, selected).grouped_field_set.items():
        name = details[0].node.name.value
        if name == "__typename":
            fields.append((key, lambda _: item.name, lambda name: name))
        else:
            field = item.fields[name]
            fields.append((key, _getting(field), _completing(executor, field.type, details)))
    return lambda source: {key: complete(get(source)) for key, get, complete in fields}


def _getting(field: GraphQLField) -> Complete:
    """The field's own resolver; none that may stand in a list looks at more than its object."""
    definition: StrawberryField = field.extensions["strawberry-definition"]
    if definition.base_resolver is None:
        return attrgetter(definition.python_name)
    if definition.arguments or definition.extensions:
        raise NotCovered
    resolve: Any = definition.base_resolver.wrapped_func
    return resolve


def _completing(executor: Executor[Any], type_: GraphQLOutputType, details: Selected) -> Complete:
    if isinstance(type_, GraphQLNonNull):
        inside = type_.of_type
        return (
            _completing_leaf(inside) if is_leaf_type(inside) else _refusing_none(_completing(executor, inside, details))
        )
    if isinstance(type_, GraphQLList):
        each = _completing(executor, type_.of_type, details)
        return lambda values: None if values is None else [each(value) for value in values]
    if is_leaf_type(type_):
        complete = _completing_leaf(type_)
    else:
        complete = _completing_object(executor, object_type(type_), details)
    return lambda value: None if value is None else complete(value)


def _completing_leaf(type_: GraphQLLeafType) -> Complete:
    return _time if type_.name == "DateTime" else _refusing_none(type_.coerce_output_value)


def _time(value: Any) -> datetime:
    """As it is: orjson writes a time in UTC as format_time does, only sooner."""
    if not isinstance(value, datetime) or value.utcoffset() != UTC_OFFSET:
        raise NotCovered
    return value


def _refusing_none(complete: Complete) -> Complete:
    def refuse(value: Any) -> Any:
        completed = complete(value)
        if completed is None:
            raise NotCovered
        return completed

    return refuse


def object_type(type_: GraphQLOutputType) -> GraphQLObjectType:
    while isinstance(type_, (GraphQLNonNull, GraphQLList)):
        type_ = type_.of_type
    if not isinstance(type_, GraphQLObjectType):
        raise NotCovered
    return type_
