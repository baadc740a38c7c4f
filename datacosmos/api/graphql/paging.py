"""Connections by Relay's rules: which page is asked for, and what it is answered with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

import strawberry
from strawberry import UNSET
from strawberry.relay import PageInfo

from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.scalars import BigInt
from datacosmos.errors import InvalidPage, TooManyPoints

T = TypeVar("T")
Count = Callable[[], Awaitable[int]]
COUNT_SECONDS = 1


class PageSize(int):
    """How many edges a page has where nobody says; in the schema a number, but told from the same one that was sent."""


class Paging(NamedTuple):
    """`size` edges behind a cursor, or, `backward`, before it; without one, from the beginning or the end."""

    size: int
    cursor: str | None
    backward: bool


def page_asked_for(
    first: int | None, after: str | None, last: int | None, before: str | None, *, default: int, most: int
) -> Paging:
    """Forward, unless `last` or `before` is given. One that is left out is UNSET or a PageSize. Raises InvalidPage."""
    first, after, last, before = given(first), given(after), given(last), given(before)
    backward = last is not None or before is not None
    if backward and after is not None:
        raise InvalidPage("after goes forward with first, before goes backward with last; they don't go together")
    if backward and first is not None:
        raise InvalidPage("first goes forward with after, last goes backward with before; they don't go together")
    name, size = ("last", last) if backward else ("first", first)
    if size is None:
        size = min(default, most)
    if not 1 <= size <= most:
        raise InvalidPage(f"{name} is {size}; a page holds 1 to {most}")
    return Paging(size, before if backward else after, backward)


def given(argument: T | None) -> T | None:
    """None for one that was left out."""
    return None if argument is UNSET or isinstance(argument, PageSize) else argument


@strawberry.type
class Edge(Generic[T]):
    cursor: str
    node: T


async def in_time(count: Count) -> int:
    """Raises TooManyPoints; what counts ends with it, in MongoDB too."""
    try:
        async with asyncio.timeout(COUNT_SECONDS):
            return await count()
    except TimeoutError:
        raise TooManyPoints(
            f"they could not be counted within {COUNT_SECONDS} s; narrow start and end, or leave totalCount out"
        ) from None


@strawberry.type(
    description="A page. The next: pass endCursor as `after`, with `first`; the one before: pass startCursor as "
    "`before`, with `last`."
)
class Connection(Generic[T]):
    edges: list[Edge[T]]
    page_info: PageInfo
    count: strawberry.Private[Count]

    @strawberry.field(
        description="How many there are on all pages; null, with an error, where counting takes longer than "
        f"{COUNT_SECONDS} s."
    )
    async def total_count(self, info: Info) -> BigInt | None:
        async with info.context.one_list:
            return BigInt(await in_time(self.count))


def page_info(page: Paging, more: bool, ends: tuple[str | None, str | None]) -> PageInfo:
    """Whether there is `more` where it goes, and something behind it; and the cursors of its first and last edge."""
    behind = page.cursor is not None
    has_next, has_previous = (behind, more) if page.backward else (more, behind)
    start, end = ends
    return PageInfo(has_next_page=has_next, has_previous_page=has_previous, start_cursor=start, end_cursor=end)


def connection(found: list[Edge[Any]], page: Paging, count: Count) -> Connection[Any]:
    """Of one edge more than the page has, where there are as many, in the order that they were looked for in."""
    edges, more = found[: page.size], len(found) > page.size
    if page.backward:
        edges.reverse()
    ends = (edges[0].cursor, edges[-1].cursor) if edges else (None, None)
    return Connection(edges=edges, page_info=page_info(page, more, ends), count=count)
