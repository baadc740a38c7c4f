import asyncio
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query, parse

from datacosmos.api.graphql.limits import Extent, measure
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import app_of, ask, client_of

DEEP = "{ pointsConnection { edges { node { time } } } }"  # four levels


def client_with(settings: Settings, stores: Stores, **changes: Any) -> httpx.AsyncClient:
    return client_of(app_of(settings.model_copy(update=changes), stores))


async def message(client: httpx.AsyncClient, query: str) -> str:
    answer = await ask(client, query)
    assert "data" not in answer
    return answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ a }", Extent(1, 0)),
        ("{ a { b { c } } d }", Extent(3, 0)),
        ("{ x: a { y: b } z: a }", Extent(2, 3)),
        ("{ ...F ...F } fragment F on Query { x: a { b } }", Extent(2, 2)),
        ("{ ... { ... on Query { x: a } } }", Extent(1, 1)),
        ("query A { a } query B { a { x: b } }", Extent(2, 1)),
        ("{ __schema { types { fields { name } } } a }", Extent(1, 0)),
        ("{ ...F } fragment F on Query { a ...F }", Extent(1, 0)),
        ("{ ...Unknown a {} }", Extent(1, 0)),
        ("fragment F on Query { a }", Extent(0, 0)),
    ],
)
def test_an_extent_counts_levels_and_aliases_with_fragments_spread_out(query: str, expected: Extent) -> None:
    assert measure(parse(query)) == expected


async def test_a_query_may_nest_so_deep_and_no_deeper(settings: Settings, stores: Stores) -> None:
    async with client_with(settings, stores, max_query_depth=4) as client:
        assert "errors" not in await ask(client, DEEP)
    async with client_with(settings, stores, max_query_depth=3) as client:
        assert await message(client, DEEP) == "the query is 4 levels deep; 3 are allowed"


async def test_a_query_may_have_so_many_aliases_and_no_more(client: httpx.AsyncClient) -> None:
    aliases = [f"a{number}: __typename" for number in range(16)]
    assert "errors" not in await ask(client, "{" + " ".join(aliases[:15]) + "}")
    assert await message(client, "{" + " ".join(aliases) + "}") == "the query has 16 aliases; 15 are allowed"


async def test_a_query_may_have_so_many_tokens_and_no_more(settings: Settings, stores: Stores) -> None:
    async with client_with(settings, stores, max_query_tokens=5) as client:
        assert "errors" not in await ask(client, "{ __typename __typename __typename }")
        assert "more than 5 tokens" in await message(client, "{ __typename __typename __typename __typename }")


@pytest.mark.parametrize(
    "bomb",
    [
        "{ ...F0 } " + " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(80)),
        "{ ...F0 } "
        + " ".join(
            f"fragment F{i} on Query {{ {' '.join(f'...F{j}' for j in range(16))} x: __typename }}" for i in range(16)
        ),
        "{ a" * 400 + "}" * 400,
        "{ points(series: " + "[" * 900,
        "{ " + "... { " * 240 + "__typename" + "}" * 240 + "}",
        "{ __schema " + "{ types { fields { type " * 5 + "{ name }" + " } } }" * 5 + " }",
        "{ points { " + "time " * 990 + "} }",
    ],
    ids=["doubling fragments", "fragments in cycles", "fields", "lists", "inline fragments", "introspection", "width"],
)
async def test_a_bomb_is_answered_at_once(client: httpx.AsyncClient, bomb: str) -> None:
    async with asyncio.timeout(30):
        answer = await ask(client, bomb)
    assert answer.get("errors") or answer["data"] == {"points": []}


async def test_the_introspection_of_graphiql_passes(client: httpx.AsyncClient) -> None:
    query = get_introspection_query(
        schema_description=True, specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True
    )
    assert "errors" not in await ask(client, query)
