"""All names in memory: a part of one is looked for sooner than MongoDB tries a pattern on each.

Names are only added. So as long as MongoDB counts as many as before, which it does without looking at any, they are the
same. But it counts a name before it can be read: a list of fewer than were counted is for those alone who asked before
it was read. A crash may leave the count wrong for good, which is known by the difference being the same for long; until
then the names are counted one by one, in a fifth of the time that reading them takes. And as a crash may set the count
back, so that another list could have the same one, none is kept for long.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from datacosmos.errors import StoreUnavailable
from datacosmos.rounds import Rounds
from datacosmos.store.mongo.connection import read_errors
from datacosmos.store.mongo.finding import Finder

MOST = 100_000
LONGEST = 60.0  # seconds
ALL = {"_id": {"$gte": ""}}  # so that MongoDB counts by the index alone


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
        self._rounds, self._counts = Rounds[Sequence[Listed]](StoreUnavailable), Rounds[int](StoreUnavailable)
        self._known: Sequence[Listed] = ()
        self._count, self._wrong_by = 0, 0
        self._read_at, self._same_since = 0.0, 0.0

    async def names(self) -> Sequence[Listed] | None:
        """In order, those included that were added just before; None where they are too many."""
        count = await self._counted()
        if count > MOST:
            return None
        is_all = count == self._count == len(self._known) + self._wrong_by
        if time.monotonic() - self._read_at <= LONGEST and (is_all or await self._is_all()):
            return self._known
        return await self._rounds.get(None, self._renewed)

    async def _counted(self) -> int:
        with read_errors():
            return await self._reads.estimated_document_count()

    async def _is_all(self) -> bool:
        return await self._counts.get(None, lambda: self._finder.count(ALL)) == len(self._known)

    async def _renewed(self) -> Sequence[Listed]:
        now, count, known = time.monotonic(), await self._counted(), await self._read()
        if (count, len(known)) != (self._count, len(self._known)):
            self._same_since = now
        elif now - self._same_since > LONGEST:
            self._wrong_by = count - len(known)
        self._known, self._count, self._read_at = known, count, now
        return known

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
