"""The errors that a caller may meet.

    DatacosmosError
     ├── SettingsError        a setting is wrong; the service does not start
     ├── EngineError          an embedded engine can't be started
     ├── TokenError           a token is no valid one of ours
     ├── InvalidFile          a file to replay that can't be read as what it should be
     ├── InvalidUpload        a pushed body with faults; nothing of it is stored
     ├── SeriesError          what was asked of an uploaded series can't be done
     │    ├── NameTaken           its owner already has a series of that name
     │    ├── UnknownSeries       there is none of that id or name
     │    ├── SeriesGone          it was deleted meanwhile
     │    ├── CannotForecast      too few points, or unevenly sampled ones
     │    └── TooManyNames        more series in one request than can be stored at once
     ├── QueryError           a question that can't be answered as it was asked
     │    ├── InvalidRange        start after end
     │    ├── InvalidPage         a page size that can't be
     │    ├── InvalidCursor       a cursor that we never gave
     │    └── TooManyPoints       more than a plain list may hold
     ├── AccessError          who asks may not see this
     │    ├── Unauthenticated     no token, or no valid one
     │    └── Forbidden           a valid token, but of another role
     ├── InvalidLocation      a location that can't be taken; `faults` names each faulty field
     ├── DeliveryTooLarge     more readings at once than one message of the queue may hold
     ├── DataServerDown       the data server gave no answer that can be used
     └── Unavailable          try again later
          ├── StoreUnavailable    MongoDB can't be reached, or can't write now
          ├── TemporaryFilesFull  no room for a long answer while it waits to be sent
          ├── CalculationUnavailable  the Calculation service can't be reached, or can't answer now
          └── QueueUnavailable    NATS can't be reached, or can't take more
               └── QueueFull

Each message says what was wrong, where, and what to do; none carries a password, a token or a payload.
"""

from collections.abc import Mapping, Sequence


class DatacosmosError(Exception):
    """The root of every error that is ours."""


class SettingsError(DatacosmosError):
    pass


class EngineError(DatacosmosError):
    pass


class TokenError(DatacosmosError):
    pass


class InvalidFile(DatacosmosError):
    pass


class InvalidUpload(DatacosmosError):
    """`faults`, in order: the item's index, None where it is the whole document's, and what is wrong with it."""

    def __init__(self, faults: Sequence[tuple[int | None, str]]) -> None:
        index, fault = faults[0]
        super().__init__(fault if index is None else f"item {index}: {fault}")
        self.faults = tuple(faults)


class SeriesError(DatacosmosError):
    pass


class NameTaken(SeriesError):
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


class InvalidPage(QueryError):
    pass


class InvalidCursor(QueryError):
    pass


class TooManyPoints(QueryError):
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


class TemporaryFilesFull(Unavailable):
    pass


class CalculationUnavailable(Unavailable):
    pass


class QueueUnavailable(Unavailable):
    pass


class QueueFull(QueueUnavailable):
    pass
