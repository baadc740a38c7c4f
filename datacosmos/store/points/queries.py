"""What MongoDB is asked for of `points`, and what of its answers may go on.

Earlier versions stored some accepted readings with an infinite value, which no JSON can tell: no list has them.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite, nan
from typing import TypeVar

import numpy as np

from datacosmos.domain.columns import NoColumns, Rows
from datacosmos.domain.points import Reason, Status
from datacosmos.errors import StoreUnavailable, TooManyPoints
from datacosmos.store.mongo.connection import Document
from datacosmos.store.mongo.finding import Batches

COLLECTION = "points"
ACCEPTED, DISCARDED = {"status": Status.ACCEPTED.value}, {"status": Status.DISCARDED.value}
FLOAT = {float}
FINITE = {"$nin": [inf, -inf, nan]}
MOST_RAW = 32 << 20
"""Bytes of payload that one answer may hold."""
CHOOSING_MS = 5000
"""Of MongoDB's work for one list of chosen points: rare ones are looked for among all, while others wait."""
MAX_TIME_EXPIRED = 50
T = TypeVar("T")


@dataclass(frozen=True)
class Filter:
    """Which accepted points are meant: bounds of values are inclusive, and no tags filter nothing."""

    value_from: float | None = None
    value_to: float | None = None
    any_tag: tuple[str, ...] = ()
    no_tag: tuple[str, ...] = ()

    @cached_property
    def limits(self) -> Document:
        """Of a command that finds these."""
        return {} if self == ALL else {"maxTimeMS": CHOOSING_MS}

    @cached_property
    def values(self) -> Document:
        bounds = {"$gte": self.value_from, "$lte": self.value_to}
        return {operator: bound for operator, bound in bounds.items() if bound is not None}

    @cached_property
    def tags(self) -> Document:
        lists = {"$in": self.any_tag, "$nin": self.no_tag}
        return {operator: list(tags) for operator, tags in lists.items() if tags}


ALL = Filter()


def accepted_of(series: str | Document, chosen: Filter = ALL, *, only_finite: bool = False) -> Document:
    where = {"series": series, **ACCEPTED}
    if values := chosen.values | FINITE if only_finite else chosen.values:
        where["value"] = values
    if chosen.tags:
        where["tags"] = chosen.tags
    return where


def discarded_for(reason: Reason | None, source: str | None) -> Document:
    return DISCARDED | ({"reasons": reason.value} if reason else {}) | ({"source": source} if source else {})


def find(where: Document, key: str, limit: int, batch: int, projection: Document, *, down: bool = False) -> Document:
    """The command, in order of `key`, then id; `down`: the last ones first."""
    direction = -1 if down else 1
    return {
        "find": COLLECTION,
        "filter": where,
        "projection": projection,
        "sort": {key: direction, "_id": direction},
        "limit": limit,
        "batchSize": min(batch, limit) if limit else batch,
    }


async def choosing(found: Batches[T]) -> AsyncGenerator[T]:
    """The same. Raises TooManyPoints where MongoDB did not get through the points in CHOOSING_MS."""
    try:
        async with aclosing(found):
            async for each in found:
                yield each
    except StoreUnavailable as error:
        if getattr(error.__cause__, "code", None) != MAX_TIME_EXPIRED:
            raise
        raise TooManyPoints(
            f"points could not be chosen from so many within {CHOOSING_MS / 1000:g} s; narrow start and end"
        ) from error


class Room:
    """What is left of MOST_RAW for the payloads of one answer."""

    def __init__(self) -> None:
        self._found, self._left = 0, MOST_RAW

    def take(self, size: int) -> None:
        """Raises TooManyPoints."""
        self._found += 1
        self._left -= size
        if self._left < 0:
            raise TooManyPoints(f"the payloads of {self._found} are more than {MOST_RAW >> 20} MiB; ask for fewer")


def finite(rows: Rows) -> Rows:
    """Raises NoColumns where a value is infinite, or none: it is not in the list, but counts as one of those found."""
    values = rows.column("value")
    if isinstance(values, list):
        are_finite = set(map(type, values)) <= FLOAT and all(map(isfinite, values))
    else:
        are_finite = values.dtype.kind == "f" and np.isfinite(values).all()
    if not are_finite:
        raise NoColumns
    return rows
