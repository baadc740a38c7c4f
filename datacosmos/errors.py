"""The errors that a caller may meet.

    DatacosmosError
     ├── SettingsError        a setting is wrong; the service does not start
     ├── EngineError          an embedded engine can't be started
     ├── NewerFormat          a newer release wrote the database; the service does not start
     ├── InvalidFile          a file of a command that can't be read as what it should be, or not be written
     ├── ServiceError         a running service can't be reached, or did not give what a command asked for
     ├── InvalidUpload        a pushed body with faults; nothing of it is stored
     ├── SeriesError          what was asked of an uploaded series can't be done
     │    ├── NameTaken           its owner already has a series of that name
     │    ├── KeyReused           an Idempotency-Key came again, with another body
     │    ├── UnknownSeries       there is none of that id or name
     │    ├── SeriesGone          it was deleted meanwhile
     │    ├── CannotForecast      too few points, or unevenly sampled ones
     │    └── TooManyNames        more series in one request than can be stored at once
     ├── QueryError           a question that can't be answered as it was asked
     │    ├── InvalidRange        start after end
     │    ├── InvalidInterval     buckets or samples that can't be
     │    ├── InvalidPage         a page size that can't be
     │    ├── InvalidCursor       a cursor that we never gave
     │    ├── CursorExpired       a cursor of changes that are no longer kept
     │    ├── TooManyPoints       more than a plain list may hold
     │    └── AnswerTooLarge      more bytes than one answer may have
     ├── AccessError          the caller may not see this
     │    ├── Unauthenticated     no token, or no valid one
     │    └── Forbidden           a valid token, but of another role
     ├── InvalidLocation      a location that can't be taken; `faults` names each faulty field
     ├── DeliveryTooLarge     more readings at once than one message of the queue may hold
     ├── DataServerDown       the data server gave no answer that can be used
     └── Unavailable          try again later
          ├── StoreUnavailable    MongoDB can't be reached, or can't write now
          │    └── StoreUnreachable    it was looked for, and not found: whoever asks next waits as long
          ├── TemporaryFilesFull  no room for a long answer while it waits to be sent
          ├── Overloaded          this process holds as much at once as it may
          ├── Lagging             a reader of changes falls ever further behind
          ├── CalculationUnavailable  the Calculation service can't be reached, or can't answer now
          └── QueueUnavailable    NATS can't be reached, or can't take more
               └── QueueFull

Each message says what was wrong, where, and what to do; none carries a password, a token or a payload.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

LONGEST = 300


def shorten(text: str, longest: int = LONGEST) -> str:
    """The text, its middle left out where it is longer: an error may repeat a line of what was sent, but no more."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


class DatacosmosError(Exception):
    """The root of every error that is ours."""


class SettingsError(DatacosmosError):
    pass


class EngineError(DatacosmosError):
    pass


class NewerFormat(DatacosmosError):
    pass


class InvalidFile(DatacosmosError):
    pass


class ServiceError(DatacosmosError):
    pass


class InvalidUpload(DatacosmosError):
    """`faults`, in order: the item's index, None where it is the whole document's, and what is wrong with it."""

    def __init__(self, faults: Sequence[tuple[int | None, str]]) -> None:
        index, fault = faults[0]
        super().__init__(fault if index is None else f"item {index}: {fault}")
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """Also from another process it comes whole."""
        return type(self), (self.faults,)


class SeriesError(DatacosmosError):
    pass


class NameTaken(SeriesError):
    pass


class KeyReused(SeriesError):
    pass


class UnknownSeries(SeriesError):
    pass


class SeriesGone(SeriesError):
    pass


class CannotForecast(SeriesError):
    pass


class TooManyNames(SeriesError):
    pass


class QueryError(DatacosmosError):
    pass


class InvalidRange(QueryError):
    pass


class InvalidInterval(QueryError):
    pass


class InvalidPage(QueryError):
    pass


class InvalidCursor(QueryError):
    pass


class CursorExpired(QueryError):
    pass


class TooManyPoints(QueryError):
    pass


class AnswerTooLarge(QueryError):
    pass


class AccessError(DatacosmosError):
    pass


class Unauthenticated(AccessError):
    pass


class Forbidden(AccessError):
    pass


class InvalidLocation(DatacosmosError):
    """`faults` maps each faulty field, or `body`, to a sentence about it; none holds anything of what was sent."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field} {fault}" for field, fault in faults.items()))
        self.faults = faults


class DeliveryTooLarge(DatacosmosError):
    pass


class DataServerDown(DatacosmosError):
    pass


class Unavailable(DatacosmosError):
    pass


class StoreUnavailable(Unavailable):
    pass


class StoreUnreachable(StoreUnavailable):
    pass


class TemporaryFilesFull(Unavailable):
    pass


class Overloaded(Unavailable):
    pass


class Lagging(Unavailable):
    pass


class CalculationUnavailable(Unavailable):
    pass


class QueueUnavailable(Unavailable):
    pass


class QueueFull(QueueUnavailable):
    pass
