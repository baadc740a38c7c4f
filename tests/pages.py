"""Lists of points that come page by page."""

from collections.abc import AsyncGenerator

from datacosmos.domain.points import Point


async def whole(pages: AsyncGenerator[list[Point]]) -> list[Point]:
    return [point async for page in pages for point in page]
