"""The points of a series that a drawing needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import strawberry
from strawberry.types.nodes import SelectedField

from datacosmos.api.graphql.context import Info
from datacosmos.api.graphql.scalars import BigInt
from datacosmos.api.graphql.types import Point
from datacosmos.api.times import make_window
from datacosmos.domain.series import EARLIEST, LATEST, from_datetime, to_datetime
from datacosmos.errors import InvalidInterval
from datacosmos.store.mongo.ranges import Window
from datacosmos.store.points.queries import ALL, Filter
from datacosmos.store.stores import Stores

MOST_WIDTH = 5_000
DRAWN = {"series", "time", "value", "__typename"}
"""Fields of a point that its summary tells."""


@strawberry.type(
    description="Points that a line can be drawn through as if through all of the range: the first, last, least and "
    "greatest of each of as many equal spans as the drawing is wide."
)
class Sampled:
    points: list[Point]
    source_count: BigInt = strawberry.field(description="How many points the range holds.")
    exact: bool = strawberry.field(description="Whether `points` are all of them.")


@dataclass(frozen=True, slots=True)
class DrawnPoint:
    """What is known of a point by its summary."""

    series: str
    time: datetime
    value: float


async def span_of(stores: Stores, series: str, start: datetime | None, end: datetime | None) -> tuple[int, int] | None:
    """From `start` or the first point to `end` or the last one; None where that is nothing."""
    if start is None:
        start = (await stores.points.oldest([series])).get(series)
    if end is None:
        last = (await stores.points.latest([series])).get(series)
        end = last.reading.time if last else None
    return (from_datetime(start), from_datetime(end)) if start and end and start <= end else None


async def count_points(stores: Stores, series: str, window: Window, chosen: Filter = ALL) -> int:
    """By summaries where all points of the window are meant."""
    if chosen != ALL:
        return await stores.points.count_accepted(series, window, chosen)
    start = EARLIEST if window.start is None else from_datetime(window.start)
    end = LATEST if window.end is None else from_datetime(window.end)
    return await stores.summaries.count(series, start, end)


def check_width(width: int) -> None:
    """Raises InvalidInterval."""
    if not 1 <= width <= MOST_WIDTH:
        raise InvalidInterval(f"width is {width}; it may be 1 to {MOST_WIDTH} pixels")


async def sampled_of(info: Info, series: str, start: datetime | None, end: datetime | None, width: int) -> Sampled:
    check_width(width)
    read = partial(_sampled, info, series, start, end, width)
    return await info.context.hold(read, lambda sampled: len(sampled.points))


async def _sampled(info: Info, series: str, start: datetime | None, end: datetime | None, width: int) -> Sampled:
    stores = info.context.stores
    window = make_window(start, end)
    span = await span_of(stores, series, window.start, window.end)
    if span is None:
        return Sampled(points=[], source_count=BigInt(0), exact=True)
    samples = await stores.summaries.samples(series, *span, width)
    drawn: list[Any] = [
        DrawnPoint(series, to_datetime(time), value)
        for time, value in zip(samples.t.tolist(), samples.v.tolist(), strict=True)
    ]
    if not names_below(info.selected_fields, "points") <= DRAWN:
        known = await stores.points.at(series, [(point.time, point.value) for point in drawn])
        drawn = [Point.of(point) for point in known]
    return Sampled(points=drawn, source_count=BigInt(samples.count), exact=samples.is_exact)


def names_below(selections: Sequence[Any], field: str) -> set[str]:
    """The names of what is selected of a field, wherever in these selections it stands."""
    names: set[str] = set()
    for selection in selections:
        names |= names_below(selection.selections, field)
        if getattr(selection, "name", None) == field:
            names |= names_of(selection.selections)
    return names


def names_of(selections: Sequence[Any]) -> set[str]:
    """Of the fields, also of those in fragments."""
    names = {selection.name for selection in selections if isinstance(selection, SelectedField)}
    fragments = (selection for selection in selections if not isinstance(selection, SelectedField))
    return names.union(*(names_of(fragment.selections) for fragment in fragments))
