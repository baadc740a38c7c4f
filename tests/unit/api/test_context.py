"""What one query may hold."""

import asyncio
from typing import Any, cast

import pytest

from datacosmos.api.graphql.context import Context
from datacosmos.errors import TooManyPoints

UNUSED: Any = cast(Any, None)


def context_of(max_points: int) -> Context:
    return Context(UNUSED, UNUSED, UNUSED, UNUSED, max_points, "", UNUSED, UNUSED, UNUSED)


async def test_lists_of_one_query_are_read_one_after_the_other_and_counted_together() -> None:
    context, reading, read = context_of(30_000), 0, 0

    async def read_list() -> list[int]:
        nonlocal reading, read
        assert reading == 0
        reading += 1
        await asyncio.sleep(0)
        reading -= 1
        read += 1
        return [0] * 12_000

    results = await asyncio.gather(*(context.hold(read_list, len) for _ in range(9)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, TooManyPoints)]
    assert (len(refused), read) == (7, 3)
    assert "more than 30000 points and buckets together; ask for fewer series" in str(refused[0])


async def test_a_small_limit_of_plain_lists_leaves_room_for_a_chart() -> None:
    async def read_drawing() -> list[int]:
        return [0] * 20_000

    context = context_of(3)
    assert len(await context.hold(read_drawing, len)) == 20_000
    with pytest.raises(TooManyPoints, match="more than 20000"):
        await context.hold(read_drawing, len)
