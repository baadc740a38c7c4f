"""How large a query may be: its names, told before it is validated, and one validation rule, of linear cost.

Strawberry's own limiters walk each fragment once per spread, so twenty fragments that spread the next one twice
would keep them busy for ever.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    MaxIntrospectionDepthRule,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Token,
    TokenKind,
)
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, SchemaExtension

from datacosmos.settings import Settings


class Extent(NamedTuple):
    """Levels of fields below a point of the document, and aliases among them, fragments spread out."""

    depth: int
    aliases: int


def limit_extensions(settings: Settings) -> list[Callable[[], SchemaExtension]]:
    rules = limit_rules(settings)
    return [
        lambda: MaxTokensLimiter(settings.max_query_tokens),
        lambda: NameLimiter(settings.max_query_name_length),
        lambda: AddValidationRules(rules),
    ]


def limit_rules(settings: Settings) -> list[type[ASTValidationRule]]:
    return [extent_rule(settings.max_query_depth, settings.max_query_aliases), MaxIntrospectionDepthRule]


class NameLimiter(SchemaExtension):
    """Refuses long names before validation, whose errors would repeat each; as aliases, every row would."""

    def __init__(self, longest: int) -> None:
        self._longest = longest

    def on_parse(self) -> Iterator[None]:
        yield
        document = self.execution_context.graphql_document
        if document is not None and (length := longest_name(document)) > self._longest:
            error = _too_large(f"a name in the query has {length} characters; {self._longest} are allowed")
            self.execution_context.pre_execution_errors = [error]


def longest_name(document: DocumentNode) -> int:
    """Characters of the longest name or alias in it."""
    token: Token | None = document.loc and document.loc.start_token
    longest = 0
    while token is not None:
        if token.kind is TokenKind.NAME:
            longest = max(longest, token.end - token.start)
        token = token.next
    return longest


def extent_rule(max_depth: int, max_aliases: int) -> type[ASTValidationRule]:
    class ExtentRule(ASTValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            extent = measure(node)
            if extent.depth > max_depth:
                self.report_error(_too_large(f"the query is {extent.depth} levels deep; {max_depth} are allowed"))
            if extent.aliases > max_aliases:
                self.report_error(_too_large(f"the query has {extent.aliases} aliases; {max_aliases} are allowed"))

    return ExtentRule


def measure(document: DocumentNode) -> Extent:
    """The extent of all operations; introspection has a rule of its own for its depth."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    measured: dict[str, Extent] = {}

    def of_fragment(name: str) -> Extent:
        if name not in measured:
            measured[name] = Extent(0, 0)  # where a cycle ends; another rule reports cycles and unknown names
            if name in fragments:
                measured[name] = of_set(fragments[name].selection_set)
        return measured[name]

    def of_selection(node: SelectionNode) -> Extent:
        if isinstance(node, FragmentSpreadNode):
            return of_fragment(node.name.value)
        if not isinstance(node, FieldNode):
            return of_set(getattr(node, "selection_set", None))
        below = of_set(node.selection_set)
        depth = 0 if node.name.value.startswith("__") else 1 + below.depth
        return Extent(depth, below.aliases + (node.alias is not None))

    def of_set(node: SelectionSetNode | None) -> Extent:
        return _together(of_selection(selection) for selection in (node.selections if node else ()))

    operations = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return _together(of_set(operation.selection_set) for operation in operations)


def _together(extents: Iterable[Extent]) -> Extent:
    parts = list(extents)
    return Extent(max((part.depth for part in parts), default=0), sum(part.aliases for part in parts))


def _too_large(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "QUERY_TOO_LARGE"})
