"""Completes a list of objects column by column, where Strawberry would do so object by object and field by field.

It needs objects whose selected fields are attributes, or are made by resolvers that look at nothing else. What is
unusual about any of them, an error above all, is found by completing the list again, as Strawberry does.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from inspect import isawaitable
from itertools import accumulate
from operator import attrgetter
from typing import Any

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
)
from graphql.execution import Executor
from strawberry.types.field import StrawberryField

from datacosmos.api.graphql.fast.calls import bare_call_of
from datacosmos.api.graphql.fast.rows import Selected
from datacosmos.api.graphql.fast.values import NotCovered, Values, checking
from datacosmos.api.lists.columns import OPTIONS
from datacosmos.api.times import format_time
from datacosmos.slices import next_slice

AT_ONCE = 1000
"""Objects that are completed in one step, a few milliseconds' work."""
Complete = Callable[[Values], Values]
"""Of many values of one type, each as JSON has it. Raises NotCovered, or whatever a resolver raises."""


class ListCompletion:
    """What one query's lists of objects are completed by, worked out when there is the first of each."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self._known: dict[int, tuple[Selected, Complete | None]] = {}

    def complete(self, item: GraphQLOutputType, selected: Selected, items: Any, plainly: Callable[[], Any]) -> Any:
        """`plainly` is how Strawberry does it."""
        complete = self._complete(item, selected) if isinstance(items, list) else None
        if complete is None:
            return plainly()
        if len(items) > AT_ONCE:
            return _in_parts(complete, items, plainly)
        try:
            return complete(items)
        except Exception:  # noqa: BLE001 - whatever it is, Strawberry will come upon it again, and tell
            return plainly()

    def _complete(self, item: GraphQLOutputType, selected: Selected) -> Complete | None:
        """None where only Strawberry can do it."""
        if not isinstance(get_named_type(item), GraphQLObjectType):
            return None
        found = self._known.get(id(selected))
        if found is None:
            found = self._known[id(selected)] = selected, _planned(self._executor, item, selected)
        return found[1]


def _planned(executor: Executor[Any], item: GraphQLOutputType, selected: Selected) -> Complete | None:
    try:
        return completing(executor, item, selected)
    except (NotCovered, GraphQLError):
        return None


async def _in_parts(complete: Complete, items: Values, plainly: Callable[[], Any]) -> Any:
    """With a turn for others after each."""
    found: Values = []
    try:
        for begin in range(0, len(items), AT_ONCE):
            found += complete(items[begin : begin + AT_ONCE])
            await next_slice()
    except Exception:  # noqa: BLE001 - as above
        completed = plainly()
        return await completed if isawaitable(completed) else completed
    return found


def completing(executor: Executor[Any], type_: GraphQLOutputType, selected: Selected) -> Complete:
    """Raises NotCovered where only Strawberry can do it."""
    if not isinstance(type_, GraphQLNonNull):
        return partial(_known, completing(executor, GraphQLNonNull(type_), selected))
    inside = type_.of_type
    if isinstance(inside, GraphQLList):
        return partial(_flattened, completing(executor, inside.of_type, selected))
    if isinstance(inside, GraphQLObjectType):
        return _objects(executor, inside, selected)
    if not isinstance(inside, GraphQLEnumType) and inside.name == "DateTime":
        return lambda times: _texts(checking(type_)(times))
    return checking(type_)


def _objects(executor: Executor[Any], type_: GraphQLObjectType, selected: Selected) -> Complete:
    if type_.is_type_of is not None:
        raise NotCovered
    members: dict[str, Complete] = {}
    for key, details in executor.collect_subfields(type_, selected).grouped_field_set.items():
        name = details[0].node.name.value
        members[key] = (
            partial(_constants, type_.name) if name == "__typename" else _member(executor, type_.fields[name], details)
        )

    def complete(items: Values) -> Values:
        if not all(map(_is_value, items)):
            raise NotCovered
        if not members:  # all are left out on a condition
            return [{} for _ in items]
        columns = [member(items) for member in members.values()]
        return [dict(zip(members, row, strict=True)) for row in zip(*columns, strict=True)]

    return complete


def _is_value(item: Any) -> bool:
    return item is not None and not isinstance(item, Exception)


def _member(executor: Executor[Any], field: GraphQLField, details: Selected) -> Complete:
    definition: StrawberryField | None = field.extensions.get("strawberry-definition")
    if definition is None:  # the schema tells of itself
        raise NotCovered
    take: Callable[[Any], Any] = attrgetter(definition.python_name)
    if definition.base_resolver is not None:
        take = bare_call_of(field, details[0].node, executor.variable_values)
    complete = completing(executor, field.type, details)
    return lambda items: complete([take(item) for item in items])


def _constants(text: str, items: Values) -> Values:
    return [text] * len(items)


def _known(complete: Complete, values: Values) -> Values:
    """Those that are not None as they are completed, each in its place."""
    known = [value for value in values if value is not None]
    found = iter(complete(known))
    return list(found) if len(known) == len(values) else [None if value is None else next(found) for value in values]


def _flattened(complete: Complete, lists: Values) -> Values:
    """The items of all lists at once."""
    if not all(isinstance(each, list) for each in lists):
        raise NotCovered
    items = complete([item for each in lists for item in each])
    ends = list(accumulate(map(len, lists)))
    return [items[end - len(each) : end] for each, end in zip(lists, ends, strict=True)]


def _texts(times: Sequence[datetime]) -> Values:
    """Encoded at once and then cut."""
    if not times or any(time.tzinfo is not UTC for time in times):
        return [format_time(time) for time in times]
    return orjson.dumps(times, option=OPTIONS)[2:-2].decode().split('","')
