"""Whether the summaries are what their points and discards add up to."""

from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

import numpy as np

from datacosmos.domain.series import from_datetime, to_datetime
from datacosmos.domain.summaries import DAY, HOUR, MINUTE
from datacosmos.store.summaries.kinds import DiscardsOf, Key, Level, Rows, kind_of
from datacosmos.store.summaries.older import days, days_of_discards
from datacosmos.store.summaries.summaries import Summaries, Times

SIZES = {"minute": MINUTE, "hour": HOUR}


class Difference(NamedTuple):
    """A minute or an hour that is not what its points add up to; `at` is when it begins."""

    key: Key
    what: str
    at: int

    def __str__(self) -> str:
        return f"{_name(self.key)}: the {self.what} from {to_datetime(self.at).isoformat()} on"

    @property
    def minutes(self) -> range:
        """Numbered from the epoch."""
        return range(self.at // MINUTE, (self.at + SIZES[self.what]) // MINUTE)


async def differences(found: Summaries) -> AsyncGenerator[Difference]:
    """Each minute and hour that differs from its points, but for what is marked to be built anew."""
    async with aclosing(_keys_and_days(found)) as every:
        async for key, day in every:
            # What is written meanwhile differs for a moment: only what does so twice is told.
            if differing := await _differing(found, key, day):
                for what, at in sorted(differing & await _differing(found, key, day)):
                    yield Difference(key, what, at)


async def _keys_and_days(found: Summaries) -> AsyncGenerator[tuple[Key, int]]:
    """Of what there are points or summaries."""
    async with aclosing(days(found.points)) as every:
        async for series, _, day in every:
            yield series, day
    async with aclosing(days_of_discards(found.points)) as every:
        async for day, keys in every:
            for key in sorted(keys, key=_name):
                yield key, day
    async with aclosing(found.parts.days()) as every:
        async for key, day in every:
            if not await _has_points(found, key, day):
                yield key, day


async def _has_points(found: Summaries, key: Key, day: int) -> bool:
    async with aclosing(found.rows(key, np.array([[day, day + DAY - 1]]), freely=True)) as batches:
        return any([len(rows) async for rows in batches])


def _name(key: Key) -> str:
    if isinstance(key, str):
        return key
    return f"discards of {key.source}" + ("" if key.series is None else f", {key.series}")


async def _differing(store: Summaries, key: Key, day: int) -> set[tuple[str, int]]:
    """Of a day, which minutes and hours."""
    kind = kind_of(key)
    since = await _since(store, key)
    marked = await store.marks.of(key) * MINUTE
    minutes = await store.minutes(key, day, day + DAY - 1)
    hours = kind.gathered(minutes, minutes["at"] // HOUR * HOUR)
    differing: set[tuple[str, int]] = set()
    for what, level, expected in (("minute", kind.hours, minutes), ("hour", kind.days, hours)):
        async with aclosing(store.parts.between(level, key, day, day + DAY - 1)) as pages:
            standing = np.concatenate([kind.none, *[rows async for rows in pages]])
        one, other = (_unmarked(rows, level, marked, since) for rows in (expected, standing))
        differing |= {(what, at) for at in one.keys() | other.keys() if one.get(at) != other.get(at)}
    return differing


async def _since(store: Summaries, key: Key) -> int:
    """From when on its summaries are asked: a retention deletes discards up to a minute that is read itself."""
    if not isinstance(key, DiscardsOf):
        return 0
    oldest = await store.points.oldest_discard(key.source, key.series)
    return np.iinfo(np.int64).max if oldest is None else from_datetime(oldest) // MINUTE * MINUTE + MINUTE


def _unmarked(rows: Rows, level: Level, marked: Times, since: int) -> dict[int, bytes]:
    """The bytes of all that begin at a time."""
    rows = rows[~np.isin(rows["at"], marked // level.part * level.part) & (rows["at"] >= since)]
    found: dict[int, bytes] = defaultdict(bytes)
    for row in rows:
        found[int(row["at"])] += row.tobytes()
    return found
