"""Collection `series`: what a series is, and the root that leads to its points."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from datacosmos.domain.series import EMPTY, Samples
from datacosmos.store.chunks import ENTRY, NO_ENTRIES, Entries, to_fields, to_samples
from datacosmos.store.connection import Document

# Points that wait in the root itself, of any time, before they go into chunks: most appends change nothing else.
FRESH = 1024

LISTED = {"pages": 0, "t": 0, "v": 0, "hold": 0}


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


def to_series(document: Document) -> Series:
    return Series(**_told(document))


def to_snapshot(document: Document) -> Snapshot:
    return Snapshot(**_told(document), pages=np.frombuffer(document["pages"], ENTRY), fresh=to_samples(document))


def blank(identifier: str, owner: str | None, name: str | None, unit: str | None = None) -> Snapshot:
    return Snapshot(id=identifier, owner=owner, name=name, unit=unit, pages=NO_ENTRIES, fresh=EMPTY)


def to_document(series: Snapshot) -> Document:
    document = {"_id": series.id, "owner": series.owner, "unit": series.unit, **contents(series)}
    # Left out where there is none, so that the unique index over names does not see it.
    return document if series.name is None else document | {"name": series.name}


def contents(series: Snapshot) -> Document:
    """What an append changes."""
    return {
        "count": series.count,
        "start": series.start,
        "end": series.end,
        "version": series.version,
        "pages": series.pages.tobytes(),
        **to_fields(series.fresh),
    }


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
