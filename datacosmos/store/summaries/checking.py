"""Whether the summaries are what their points add up to."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from datacosmos.domain import summaries
from datacosmos.domain.series import to_datetime
from datacosmos.domain.summaries import DAY, HOUR, MINUTE, NO_PARTS, Parts
from datacosmos.store.summaries.building import days
from datacosmos.store.summaries.parts import DAYS, HOURS, Level
from datacosmos.store.summaries.summaries import Summaries, Times


async def differences(found: Summaries) -> AsyncGenerator[str]:
    """A sentence for each minute and hour that differs from its points, but for what is marked to be built anew."""
    async with aclosing(days(found.points)) as every:
        async for series, _, day in every:
            # What is written meanwhile differs for a moment: only what does so twice is told.
            if differing := await _differing(found, series, day):
                for what, at in sorted(differing & await _differing(found, series, day)):
                    yield f"{series}: the {what} from {to_datetime(at).isoformat()} on"


async def _differing(store: Summaries, series: str, day: int) -> set[tuple[str, int]]:
    """Of a day of a series, which minutes and hours."""
    marked = await store.marks.of(series) * MINUTE
    async with aclosing(store.times_and_values(series, day, day + DAY - 1, freely=True)) as batches:
        found = np.concatenate([NO_PARTS, *[summaries.summarise(t, v, MINUTE) async for t, v in batches]])
    minutes = summaries.gathered(found, found["at"])
    hours = summaries.gathered(minutes, minutes["at"] // HOUR * HOUR)
    differing: set[tuple[str, int]] = set()
    for what, level, expected in (("minute", HOURS, minutes), ("hour", DAYS, hours)):
        async with aclosing(store.parts.between(level, series, day, day + DAY - 1)) as pages:
            standing = np.concatenate([NO_PARTS, *[parts async for parts in pages]])
        one, other = (_unmarked(parts, level, marked) for parts in (expected, standing))
        differing |= {(what, at) for at in one.keys() | other.keys() if one.get(at) != other.get(at)}
    return differing


def _unmarked(parts: Parts, level: Level, marked: Times) -> dict[int, bytes]:
    """The bytes of each, by when it begins."""
    return {int(part["at"]): part.tobytes() for part in parts[~np.isin(parts["at"], marked // level.part * level.part)]}
