"""Resolvers of root fields and of objects in lists, called with all worked out that is the same at each request."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any, NamedTuple

import strawberry
from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLResolveInfo,
    VariableNode,
    get_argument_values,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
    is_required_argument,
)
from graphql.execution.values import VariableValues
from strawberry.permission import PermissionExtension
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from datacosmos.api.graphql.fast.values import NotCovered


class Call(NamedTuple):
    """What Strawberry would make of the field's arguments, of which no leaf needs converting.

    `arguments` are those where no variable is given; `open` has the names in Python of those that are variables, the
    variables' own, and whether null is an error.
    """

    field: StrawberryField
    resolve: Callable[..., Awaitable[Any]]
    arguments: Mapping[str, Any]
    open: Sequence[tuple[str, str, bool]]

    def __call__(self, info: GraphQLResolveInfo, variables: Mapping[str, Any]) -> Awaitable[Any]:
        """Raises NotCovered where Strawberry would find an error."""
        arguments = {**self.arguments}
        for name, variable, is_needed in self.open:
            if variable in variables:
                arguments[name] = value = variables[variable]
                if value is None and is_needed:
                    raise NotCovered
        return self.resolve(None, strawberry.Info(info, self.field), **arguments)


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
    kept = {name: each for name, each in field.args.items() if not (name in variables and is_required_argument(each))}
    others = tuple(each for name, each in given.items() if name not in variables)
    arguments = get_argument_values(GraphQLField(field.type, kept), replace(node, arguments=others))
    open_ = [
        (names[name], each.name.value, is_non_null_type(field.args[name].type)) for name, each in variables.items()
    ]
    return Call(definition, _resolver(definition), {names[name]: value for name, value in arguments.items()}, open_)


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
        and [*resolver.signature.parameters][:2] == ["self", "info"]
        and all(type(each) is PermissionExtension and each.supports_sync for each in definition.extensions)
    )


def _is_leaf(argument: GraphQLArgument) -> bool:
    return is_leaf_type(get_nullable_type(argument.type))


def _resolver(definition: StrawberryField) -> Callable[..., Awaitable[Any]]:
    """The resolver behind its permissions, which need not be awaited."""
    assert definition.base_resolver is not None  # noqa: S101 - it is plain
    checks: list[Any] = [each.resolve for each in definition.extensions]
    resolver: Any = definition.base_resolver.wrapped_func
    return reduce(lambda inner, check: partial(check, inner), checks, resolver)
