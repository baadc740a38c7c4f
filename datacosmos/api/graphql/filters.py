"""Which points of a series are meant."""

import strawberry
from strawberry import UNSET

from datacosmos.api.graphql.paging import given
from datacosmos.errors import InvalidRange
from datacosmos.store.points.queries import ALL, Filter

MOST_TAGS = 100


@strawberry.input(
    description="Points for which all of this holds. Bounds are inclusive; an empty list of tags filters nothing."
)
class PointFilter:
    value_from: float | None = UNSET
    value_to: float | None = UNSET
    any_tag: list[str] | None = strawberry.field(default=UNSET, description="One of these tags, or more.")
    no_tag: list[str] | None = strawberry.field(default=UNSET, description="None of these tags.")


def filter_of(where: PointFilter | None) -> Filter:
    """Raises InvalidRange."""
    if not where:
        return ALL
    low, high = given(where.value_from), given(where.value_to)
    if low is not None and high is not None and low > high:
        raise InvalidRange(f"valueFrom ({low}) is above valueTo ({high})")
    return Filter(low, high, _tags("anyTag", where.any_tag), _tags("noTag", where.no_tag))


def _tags(name: str, tags: list[str] | None) -> tuple[str, ...]:
    if tags and len(tags) > MOST_TAGS:
        raise InvalidRange(f"{name} names {len(tags)} tags; {MOST_TAGS} are allowed")
    return tuple(tags or ())
