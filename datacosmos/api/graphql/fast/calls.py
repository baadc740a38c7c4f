"""Resolvers of root fields and of objects in lists, called with all worked out that is the same at each request."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial, reduce
from typing import Any, NamedTuple

import strawberry
from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLResolveInfo,
    Undefined,
    VariableNode,
    get_argument_values,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
    is_required_argument,
)
from graphql.execution.values import VariableValues
from strawberry.extensions.field_extension import FieldExtension, build_field_extension_resolvers
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from datacosmos.api.graphql.fast.values import NotCovered


class Open(NamedTuple):
    """An argument that is a variable; `name` is Python's, and `absent` what stands for it where it is not given."""

    name: str
    variable: str
    absent: Any
    is_needed: bool


class Call(NamedTuple):
    """What Strawberry would make of the field's arguments: `fixed`, and the variables'. No leaf needs converting."""

    field: StrawberryField
    resolve: Callable[..., Awaitable[Any]]
    fixed: Mapping[str, Any]
    open: list[Open]

    def __call__(self, info: GraphQLResolveInfo, variables: Mapping[str, Any]) -> Awaitable[Any]:
        """Raises NotCovered where Strawberry would find an error."""
        arguments = dict(self.fixed)
        for name, variable, absent, is_needed in self.open:
            value = variables.get(variable, absent)
            if is_needed and (value is None or value is Undefined):
                raise NotCovered
            if value is not Undefined:
                arguments[name] = value
        return self.resolve(None, info=strawberry.Info(info, self.field), **arguments)


def call_of(field: GraphQLField, node: FieldNode) -> Call | None:
    """Of a root field, behind its permissions.

    None where Strawberry's own way of a call is to be gone: more than leaves is given to it, or it is another's.
    """
    definition: StrawberryField = field.extensions["strawberry-definition"]
    given = {argument.name.value: argument for argument in node.arguments or ()}
    if not _is_plain(definition) or not all(_is_leaf(field.args[name]) for name in given):
        return None
    names = _names(definition)
    variables = {name: each.value for name, each in given.items() if isinstance(each.value, VariableNode)}
    optional = {name: each for name, each in field.args.items() if not is_required_argument(each)}
    absent = get_argument_values(GraphQLField(field.type, optional), replace(node, arguments=()))
    kept = {name: each for name, each in field.args.items() if name not in variables}
    others = tuple(each for name, each in given.items() if name not in variables)
    fixed = get_argument_values(GraphQLField(field.type, kept), replace(node, arguments=others))
    open_ = [
        Open(names[name], each.name.value, absent.get(name, Undefined), is_non_null_type(field.args[name].type))
        for name, each in variables.items()
    ]
    return Call(definition, _resolver(definition), {names[name]: value for name, value in fixed.items()}, open_)


def bare_call_of(field: GraphQLField, node: FieldNode, variables: VariableValues) -> Callable[[Any], Any]:
    """What calls a resolver that is told nothing but its object and leaves. Raises NotCovered for any other."""
    definition: StrawberryField = field.extensions["strawberry-definition"]
    resolver = definition.base_resolver
    if resolver is None or definition.is_async or definition.extensions or resolver.info_parameter is not None:
        raise NotCovered
    if not all(map(_is_leaf, field.args.values())):
        raise NotCovered
    names, given = _names(definition), get_argument_values(field, node, variables)
    resolve: Any = resolver.wrapped_func
    return partial(resolve, **{names[name]: value for name, value in given.items()})


def _names(definition: StrawberryField) -> dict[str, str]:
    """The names of arguments in Python by those in the schema."""
    return {
        argument.graphql_name or to_camel_case(argument.python_name): argument.python_name
        for argument in definition.arguments
    }


def _is_plain(definition: StrawberryField) -> bool:
    resolver = definition.base_resolver
    return (
        resolver is not None
        and definition.is_async
        and resolver.self_parameter is not None
        and resolver.info_parameter is not None
        and resolver.info_parameter.name == "info"
        and all(type(each).map_arguments is FieldExtension.map_arguments for each in definition.extensions)
    )


def _is_leaf(argument: GraphQLArgument) -> bool:
    return is_leaf_type(get_nullable_type(argument.type))


def _resolver(definition: StrawberryField) -> Callable[..., Awaitable[Any]]:
    """The resolver behind its permissions."""
    assert definition.base_resolver is not None  # noqa: S101 - it is plain
    resolver: Any = definition.base_resolver.wrapped_func

    def resolve(source: None, info: Any, **arguments: Any) -> Awaitable[Any]:
        return resolver(source, info=info, **arguments)

    extensions = build_field_extension_resolvers(definition)
    return reduce(lambda inner, outer: partial(outer, inner), extensions, resolve) if extensions else resolver
