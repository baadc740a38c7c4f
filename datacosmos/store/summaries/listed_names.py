"""All names in memory: a part of one is looked for sooner than MongoDB tries a pattern on each.

Names are only added. So as long as MongoDB counts as many as before, which it does without looking at any, they are the
same; a crash may set its count back, so that another list could have the same one, and none is kept for long.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from datacosmos.store.mongo.connection import read_errors
from datacosmos.store.mongo.finding import Finder

MOST = 100_000
LONGEST = 60.0  # seconds


class Listed(NamedTuple):
    name: str
    source: str
    """The first of them: others may come to store into it, too."""
    folded: str
    """The name without the difference of capitals."""


class ListedNames:
    """Raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, reads: Any, finder: Finder) -> None:
        self._reads, self._finder = reads, finder
        self._known: Sequence[Listed] = ()
        self._count, self._read_at = 0, 0.0

    async def names(self) -> Sequence[Listed] | None:
        """In order, those included that were added just before; None where they are too many."""
        with read_errors():
            count = await self._reads.estimated_document_count()
        if count > MOST:
            return None
        now = time.monotonic()
        if count != self._count or now - self._read_at > LONGEST:
            self._known, self._count, self._read_at = await self._read(), count, now
        return self._known

    async def _read(self) -> Sequence[Listed]:
        command = {"find": self._reads.name, "filter": {}, "sort": {"_id": 1}, "batchSize": MOST // 10}
        known: list[Listed] = []
        async with aclosing(self._finder.pages(command, lambda each: (each["_id"], each["source"]))) as pages:
            async for page in pages:
                known += [Listed(name, source, name.casefold()) for name, source in page]
        return known


def matching(known: Iterable[Listed], search: str, among: Iterable[str] | None) -> Iterator[Listed]:
    """Those with this text in the name, in capitals or not, and among some, where these are given."""
    folded, names = search.casefold(), None if among is None else frozenset(among)
    for each in known:
        if folded in each.folded and (names is None or each.name in names):
            yield each
