"""Collection `series`: what a series is, and the root that leads to its points.

The points of a root that are in no chunk yet are its fresh ones: two arrays `t` and `v`, and `pieces` that appends
pushed since, so that an append writes no more than it brings.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from datacosmos.domain.series import EMPTY, Samples, merged
from datacosmos.store.mongo.connection import Document
from datacosmos.store.series.chunks import ENTRY, NO_ENTRIES, Entries, spread, to_fields, to_samples

# Points that wait in the root itself, of any time, before they go into chunks: most appends change nothing else.
FRESH = 256
# As many as may wait there while a commit has enough other series to see to.
MOST_FRESH = 1024

LISTED = {"pages": 0, "t": 0, "v": 0, "pieces": 0, "hold": 0, "request": 0}
POINT = np.dtype([("t", "<i8"), ("v", "<f8")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is told of a series; start and end are microseconds since the epoch, None while it has no points."""

    id: str
    owner: str | None
    name: str | None
    unit: str | None
    count: int = 0
    start: int | None = None
    end: int | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Series):
    """A series as it was at one version, and the way to its points as they were then."""

    pages: Entries
    fresh: Samples

    def most_points(self, start: int | None, end: int | None) -> int:
        """As many points as a range may hold, or more: told from the pages alone."""
        touched = np.logical_or(*spread(self.pages, start, end))
        return int(self.pages["n"][touched].sum()) + len(self.fresh)


def to_series(document: Document) -> Series:
    return Series(**_told(document))


def to_snapshot(document: Document) -> Snapshot:
    return Snapshot(**_told(document), pages=np.frombuffer(document["pages"], ENTRY), fresh=_fresh(document))


def blank(identifier: str, owner: str | None, name: str | None, unit: str | None = None) -> Snapshot:
    return Snapshot(id=identifier, owner=owner, name=name, unit=unit, pages=NO_ENTRIES, fresh=EMPTY)


def to_document(series: Snapshot) -> Document:
    document = {"_id": series.id, "owner": series.owner, "unit": series.unit, **contents(series)}
    # Left out where there is none, so that the unique index over names does not see it.
    return document if series.name is None else document | {"name": series.name}


def contents(series: Snapshot) -> Document:
    """What an append may change, with all fresh points in `t` and `v`."""
    return {**bounds(series), "pages": series.pages.tobytes(), **to_fields(series.fresh)}


def bounds(series: Series) -> Document:
    return {"count": series.count, "start": series.start, "end": series.end, "version": series.version}


def to_piece(samples: Samples) -> bytes:
    piece = np.empty(len(samples), POINT)
    piece["t"], piece["v"] = samples.t, samples.v
    return piece.tobytes()


def _fresh(document: Document) -> Samples:
    fresh = to_samples(document)
    if not (pieces := document.get("pieces")):
        return fresh
    pushed = np.frombuffer(b"".join(pieces), POINT)
    return merged(fresh, Samples(pushed["t"], pushed["v"]))


def _told(document: Document) -> dict[str, Any]:
    return {
        "id": document["_id"],
        "owner": document["owner"],
        "name": document.get("name"),
        "unit": document["unit"],
        "count": document["count"],
        "start": document["start"],
        "end": document["end"],
        "version": document["version"],
    }
