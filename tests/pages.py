"""Lists that come page by page."""

from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def whole(pages: AsyncGenerator[list[T]]) -> list[T]:
    return [item async for page in pages for item in page]
