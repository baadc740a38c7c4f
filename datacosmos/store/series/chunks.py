"""Collection `chunks`: a series' points in documents that never change, and the directory of them.

    series document ── pages ──▶ page: up to PAGE entries ──▶ chunk: up to CHUNK points (t, v)

An entry says where a chunk or page lies, what its values add up to, and its id. A chunk counts once a series' document
leads to it, and a change writes new chunks beside the old; so one small commit makes any amount of points visible at
once, a crash before it leaves the series untouched, and whoever reads an older version still finds its chunks.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from motor.motor_asyncio import AsyncIOMotorCollection
from numpy.typing import NDArray

from datacosmos.domain import metrics, series
from datacosmos.domain.series import CHUNK, Samples
from datacosmos.store.mongo.connection import Database, Document, store_errors
from datacosmos.store.mongo.finding import Finder
from datacosmos.store.mongo.transactions import Conflict

PAGE = 256
LONG = 50_000
AT_ONCE = 64  # chunks read for a write, or written, in one go: 4 MiB
READ_AT_ONCE = 16  # by any number of readers
WHOLE, VALUES = {"series": 0}, {"v": 1}

ENTRY = np.dtype([("from", "<i8"), ("to", "<i8"), ("id", "V16"), *metrics.SUMMARY.descr])
Entries = NDArray[np.void]
NO_ENTRIES: Entries = np.empty(0, ENTRY)
CALCULATING = ThreadPoolExecutor(2, thread_name_prefix="calculating")

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(count: int, calculate: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a calculation over `count` points, in a thread where it would keep the event loop waiting."""
    if count < LONG:
        return calculate(*args, **kwargs)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(CALCULATING, partial(calculate, *args, **kwargs))


class ChunkGone(Conflict):
    """A chunk of an older version was reclaimed meanwhile."""


class Spread(NamedTuple):
    """Which entries a range takes in whole, and which it cuts into."""

    inside: NDArray[np.bool_]
    edge: NDArray[np.bool_]


def spread(entries: Entries, start: int | None, end: int | None) -> Spread:
    after = np.ones(len(entries), bool) if start is None else entries["to"] >= start
    before = np.ones(len(entries), bool) if end is None else entries["from"] <= end
    starts = np.ones(len(entries), bool) if start is None else entries["from"] >= start
    ends = np.ones(len(entries), bool) if end is None else entries["to"] <= end
    return Spread(starts & ends, after & before & ~(starts & ends))


def entry_ids(entries: Entries) -> list[bytes]:
    return [identifier.tobytes() for identifier in entries["id"]]


def to_fields(samples: Samples) -> Document:
    return {"t": samples.t.astype("<i8").tobytes(), "v": samples.v.astype("<f8").tobytes()}


def to_samples(document: Document) -> Samples:
    return Samples(np.frombuffer(document["t"], "<i8"), np.frombuffer(document["v"], "<f8"))


class Chunks:
    """Reads of the chunks and pages of one database: for writes, or, where a finder is given, with all other reads."""

    def __init__(self, database: Database, finder: Finder | None = None) -> None:
        self.collection: AsyncIOMotorCollection[Document] = database["chunks"]
        self._finder = finder

    async def samples(self, entries: Entries) -> list[Samples]:
        return [to_samples(document) for document in await self._documents(entries)]

    async def entries(self, pages: Entries) -> Entries:
        """What the pages list, one after another."""
        found = [np.frombuffer(page["entries"], ENTRY) for page in await self._documents(pages)]
        return np.concatenate(found) if found else NO_ENTRIES

    async def read(self, pages: Entries, start: int | None, end: int | None) -> AsyncGenerator[Samples]:
        """The points of a range, a chunk at a time, in order."""
        for page in pages[np.logical_or(*spread(pages, start, end))]:
            entries = await self.entries(page[np.newaxis])
            entries = entries[np.logical_or(*spread(entries, start, end))]
            for first in range(0, len(entries), READ_AT_ONCE):
                for samples in await self.samples(entries[first : first + READ_AT_ONCE]):
                    yield series.between(samples, start, end)

    async def values(self, pages: Entries, start: int | None, end: int | None) -> AsyncGenerator[NDArray[np.float64]]:
        """The values of a range alone, a chunk at a time, in no order."""
        for page in pages[np.logical_or(*spread(pages, start, end))]:
            entries = await self.entries(page[np.newaxis])
            inside, edge = spread(entries, start, end)
            for samples in await self.samples(entries[edge]):
                yield series.between(samples, start, end).v
            whole = entries[inside]
            for first in range(0, len(whole), 2 * READ_AT_ONCE):
                for document in await self._documents(whole[first : first + 2 * READ_AT_ONCE], VALUES):
                    yield np.frombuffer(document["v"], "<f8")

    async def parts(self, pages: Entries, start: int | None, end: int | None) -> NDArray[np.void]:
        """What a range's values add up to, in parts: of pages and chunks inside it, and of its edges' points."""
        inside, edge = spread(pages, start, end)
        entries = await self.entries(pages[edge])
        whole, cut = spread(entries, start, end)
        edges = [series.between(samples, start, end).v for samples in await self.samples(entries[cut])]
        names = list(metrics.SUMMARY.names or ())
        listed = [pages[inside][names], entries[whole][names]]
        return np.concatenate([*listed, *(metrics.summarise(v, CHUNK) for v in edges)]).astype(metrics.SUMMARY)

    async def known(self, pages: Entries, t: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the ascending `t` are stored already."""
        stored = np.zeros(len(t), bool)
        if not len(pages) or not len(t) or t[0] > pages["to"][-1]:
            return stored
        for page in pages[_touched(pages, t)]:
            entries = await self.entries(page[np.newaxis])
            entries = entries[_touched(entries, t)]
            for first in range(0, len(entries), AT_ONCE):
                for samples in await self.samples(entries[first : first + AT_ONCE]):
                    reach = slice(*np.searchsorted(t, [samples.t[0], samples.t[-1] + 1]))
                    stored[reach] = series.known(samples.t, t[reach])
        return stored

    async def start_of_last(self, pages: Entries, count: int) -> int | None:
        """A time from which on there are at least `count` points in chunks; None where there are not as many."""
        pages = pages[_last(pages, count)]
        entries = await self.entries(pages)
        chosen = entries[_last(entries, count)]
        return int(chosen["from"][0]) if chosen["n"].sum() >= count and len(chosen) else None

    async def _documents(self, entries: Entries, fields: Document = WHOLE) -> list[Document]:
        if not len(entries):
            return []
        ids = entry_ids(entries)
        found = await self._found({"_id": {"$in": ids}}, fields, len(ids))
        if len(found) < len(ids):
            raise ChunkGone
        by_id = {document["_id"]: document for document in found}
        return [by_id[identifier] for identifier in ids]

    async def _found(self, where: Document, fields: Document, most: int) -> list[Document]:
        if self._finder is None:
            with store_errors():
                return await self.collection.find(where, fields).to_list(length=most)
        command = {"find": "chunks", "filter": where, "projection": fields, "batchSize": most}
        pages = self._finder.pages(command, lambda found: found, freely=True)
        return [document async for page in pages for document in page]


def _touched(entries: Entries, t: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries have one of the ascending `t` within their bounds."""
    return np.searchsorted(t, entries["from"], "left") < np.searchsorted(t, entries["to"], "right")


def _last(entries: Entries, count: int) -> slice:
    """The fewest last entries that hold `count` points together."""
    after = np.cumsum(entries["n"][::-1])[::-1] - entries["n"]
    return slice(int(np.sum(after >= count)), None)
