"""What the routes of series answer; times are epoch seconds, an int where whole."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

import numpy as np
import orjson
from starlette.responses import Response

from datacosmos.api.lists.columns import second_texts
from datacosmos.domain.series import floats_tell, to_seconds
from datacosmos.store.series.roots import Series


@dataclass(frozen=True, slots=True)
class SeriesDescription:
    """A series without its points; start and end are those of its first and last, null while there are none."""

    id: str
    name: str | None
    unit: str | None
    count: int
    start: int | float | None
    end: int | float | None

    @classmethod
    def of(cls, series: Series) -> Self:
        return cls(series.id, series.name, series.unit, series.count, _seconds(series.start), _seconds(series.end))


@dataclass(frozen=True, slots=True)
class TimedValue:
    t: int | float
    v: float


@dataclass(frozen=True, slots=True)
class SeriesWithPoints(SeriesDescription):
    """A series with its points in time order; count, start and end are the whole series', whatever range was asked."""

    points: list[TimedValue]


@dataclass(frozen=True, slots=True)
class Page:
    """Some series, the oldest first, and where the next are found; null after the last."""

    series: list[SeriesDescription]
    next: str | None


@dataclass(frozen=True, slots=True)
class Count:
    count: int


@dataclass(frozen=True, slots=True)
class Stored:
    """How many points were stored, and how many times had a value already, which was kept."""

    stored: int
    already: int


@dataclass(frozen=True, slots=True)
class AverageAndSum:
    """Unrounded. The average of nothing is null, its sum 0; either is null where it is beyond a double."""

    avg: float | None
    sum: float | None


def respond(answer: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(answer), status, headers, media_type="application/json")


def answered(model: type, example: Any, description: str) -> dict[str, Any]:
    """An answer for the documentation of its route."""
    return {"model": model, "description": description, "content": {"application/json": {"example": example}}}


def _seconds(microseconds: int | None) -> int | float | None:
    if microseconds is None:
        return None
    t = np.array([microseconds], np.int64)
    # A fragment is for orjson alone, which writes it as the number that it is.
    return to_seconds(t)[0] if floats_tell(t) else cast("float", orjson.Fragment(second_texts(t)[0]))


DESCRIPTION = SeriesDescription("01932f6e-8f1c-7d31-a2b5-0c3c5a1f9d10", "mast", "m/s", 3, 1711644934, 1711644935)
WHOLE = asdict(DESCRIPTION) | {
    "points": [{"t": 1711644934, "v": 4.2}, {"t": 1711644934.5, "v": 4.25}, {"t": 1711644935, "v": 4.1}]
}
