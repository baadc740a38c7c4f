"""Which series of readings a caller may ask for, and where else one of that name is."""

from collections.abc import Mapping, Sequence

from datacosmos.api.graphql.context import Context
from datacosmos.domain.points import Point
from datacosmos.errors import AccessError, DatacosmosError, StoreUnavailable, UnknownSeries

ELSEWHERE = "that is a stored series of yours, not one of readings: ask storedSeries(name: …) for it"


async def require_readings(context: Context, series: str) -> None:
    """Raises Unauthenticated, and UnknownSeries where only a stored series of the caller's own has that name."""
    if refused := _refusal(context, series):
        raise UnknownSeries(ELSEWHERE) if await _stored(context, [series]) else refused
    names = context.stores.summaries.names
    if not await names.has(series) and await _stored(context, [series]):
        if not await context.stores.points.oldest([series]):
            raise UnknownSeries(ELSEWHERE)
        names.see(series)


async def latest_of(
    context: Context, series: Sequence[str]
) -> tuple[Mapping[str, Point], Mapping[str, DatacosmosError]]:
    """The newest point of each series that has one, and what `require_readings` raises for others."""
    refused = {name: error for name in series if (error := _refusal(context, name))}
    found = await context.stores.points.latest([name for name in series if name not in refused])
    stored = await _stored(context, [name for name in series if name not in found])
    return found, refused | dict.fromkeys(stored, UnknownSeries(ELSEWHERE))


def _refusal(context: Context, series: str) -> AccessError | None:
    try:
        context.permissions.require_series(series)
    except AccessError as error:
        return error
    return None


async def _stored(context: Context, names: Sequence[str]) -> set[str]:
    """Those that a stored series of the caller's own has; without a store, none."""
    if context.permissions.is_refused or not names:
        return set()
    try:
        return await context.stores.series.names_among(context.permissions.owner, names)
    except StoreUnavailable:
        return set()
