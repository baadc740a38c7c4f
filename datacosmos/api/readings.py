"""Which series of readings a caller may ask for, and where else one of that name is."""

from collections.abc import Mapping, Sequence

from datacosmos.auth.permissions import Permissions
from datacosmos.domain.points import Point
from datacosmos.errors import AccessError, DatacosmosError, StoreUnavailable, UnknownSeries
from datacosmos.store.stores import Stores

ELSEWHERE = "that is a stored series of yours, not one of readings: ask GraphQL's storedSeries(name: …) for it"


async def require_readings(stores: Stores, permissions: Permissions, series: str) -> None:
    """Raises Unauthenticated, and UnknownSeries where only a stored series of the caller's own has that name."""
    if refused := _refusal(permissions, series):
        raise UnknownSeries(ELSEWHERE) if await _stored(stores, permissions, [series]) else refused
    names = stores.summaries.names
    if not await names.has(series) and await _stored(stores, permissions, [series]):
        if not await stores.points.oldest([series]):
            raise UnknownSeries(ELSEWHERE)
        names.see(series)


async def latest_of(
    stores: Stores, permissions: Permissions, series: Sequence[str]
) -> tuple[Mapping[str, Point], Mapping[str, DatacosmosError]]:
    """The newest point of each series that has one, and what `require_readings` raises for others."""
    refused = {name: error for name in series if (error := _refusal(permissions, name))}
    found = await stores.points.latest([name for name in series if name not in refused])
    stored = await _stored(stores, permissions, [name for name in series if name not in found])
    return found, refused | dict.fromkeys(stored, UnknownSeries(ELSEWHERE))


def _refusal(permissions: Permissions, series: str) -> AccessError | None:
    try:
        permissions.require_series(series)
    except AccessError as error:
        return error
    return None


async def _stored(stores: Stores, permissions: Permissions, names: Sequence[str]) -> set[str]:
    """Those that a stored series of the caller's own has; without a store, none."""
    if permissions.is_refused or not names:
        return set()
    try:
        return await stores.series.names_among(permissions.owner, names)
    except StoreUnavailable:
        return set()
