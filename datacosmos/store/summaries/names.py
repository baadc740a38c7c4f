"""Collection `names`: each series of readings that has an accepted point, so that listing them reads no points."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from datacosmos.domain.points import Point
from datacosmos.store.mongo.connection import (
    Database,
    Document,
    bounded,
    check_passing,
    for_reads,
    read_errors,
    store_errors,
)
from datacosmos.store.mongo.finding import Finder
from datacosmos.store.mongo.ranges import contains
from datacosmos.store.summaries.listed_names import ListedNames, matching

COLLECTION = "names"
DUPLICATE_KEY = 11000
MOST_KNOWN = 100_000


class Names:
    """Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._collection = database[COLLECTION]
        self._reads = for_reads(database)[COLLECTION]
        self._finder = Finder(database, COLLECTION)
        self._listed = ListedNames(self._reads, self._finder)
        self._known: set[tuple[str, str]] = set()
        self._seen: set[str] = set()

    async def add(self, sources: Iterable[tuple[str, str]]) -> None:
        """Series and sources that store into them; the first of one stays its `source`, others are beside it."""
        unknown = set(sources) - self._known
        if not unknown:
            return
        if fresh := unknown - await self._standing([series for series, _ in unknown]):
            await self._insert(fresh)
        if len(self._known) + len(unknown) > MOST_KNOWN:
            self._known.clear()
        self._known |= unknown

    async def _standing(self, series: Sequence[str]) -> set[tuple[str, str]]:
        """Asked first, as each that is inserted although it is there costs a millisecond; what may be undone is not."""
        lasting = self._reads.with_options(read_concern=ReadConcern("majority"))
        with read_errors():
            found = await lasting.find({"_id": {"$in": series}}).to_list()
        return {(each["_id"], source) for each in found for source in (each["source"], *each.get("others", ()))}

    async def _insert(self, fresh: AbstractSet[tuple[str, str]]) -> None:
        documents: list[Document] = [{"_id": series, "source": source} for series, source in dict(fresh).items()]
        with store_errors(), bounded(self._collection.database):
            try:
                await self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                check_passing(error.details)
                if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
                    raise
            for source in {source for _, source in fresh}:
                others = {"_id": {"$in": [name for name, of in fresh if of == source]}, "source": {"$ne": source}}
                await self._collection.update_many(others, {"$addToSet": {"others": source}})

    async def has(self, series: str) -> bool:
        """Whether there is such a series; in earlier versions' databases, once it is summarised, or was seen."""
        if series not in self._seen:
            if await self.source_of(series) is None:
                return False
            self.see(series)
        return True

    def see(self, series: str) -> None:
        """That there is such a series, so that nobody need ask again."""
        if len(self._seen) >= MOST_KNOWN:
            self._seen.clear()
        self._seen.add(series)

    async def source_of(self, series: str) -> str | None:
        """None where there is no such series."""
        with read_errors():
            found = await self._reads.find_one({"_id": series})
        return found["source"] if found else None

    async def page(
        self,
        *,
        search: str | None,
        source: str | None,
        among: Iterable[str] | None,
        beyond: str | None,
        limit: int,
        down: bool,
    ) -> list[tuple[str, str]]:
        """Series and source, by name (`down`: the last ones first), from beyond a name on.

        `search` is a part of the name, in capitals or not; `among` are the only names that come into question.
        """
        if search and source is None and (known := await self._listed.names()) is not None:
            chosen = [each for each in matching(known, search, among) if _is_beyond(each.name, beyond, down)]
            return [(each.name, each.source) for each in (chosen[::-1] if down else chosen)[:limit]]
        where = _where(search, source, among, {"$lt" if down else "$gt": beyond} if beyond is not None else {})
        with read_errors():
            found = self._reads.find(where, sort={"_id": -1 if down else 1}, limit=limit)
            return [(each["_id"], each["source"]) for each in await found.to_list()]

    async def count(self, *, search: str | None, source: str | None, among: Iterable[str] | None) -> int:
        if search and source is None and (known := await self._listed.names()) is not None:
            return sum(1 for _ in matching(known, search, among))
        return await self._finder.count(_where(search, source, among, {}))


def _is_beyond(name: str, beyond: str | None, down: bool) -> bool:
    return beyond is None or (name < beyond if down else name > beyond)


def _where(search: str | None, source: str | None, among: Iterable[str] | None, beyond: Document) -> Document:
    names = (contains(search) if search else {}) | ({"$in": list(among)} if among is not None else {}) | beyond
    of = {"$or": [{"source": source}, {"others": source}]} if source is not None else {}
    return of | ({"_id": names} if names else {})


def sources_of(points: Iterable[Point]) -> set[tuple[str, str]]:
    """Series and source of the accepted ones."""
    return {
        (point.reading.series, point.reading.source)
        for point in points
        if not point.verdict.reasons and point.reading.series is not None
    }
