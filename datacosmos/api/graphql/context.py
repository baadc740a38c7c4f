"""What every resolver may use: it travels with the execution of one request."""

from dataclasses import dataclass

import strawberry

from datacosmos.api.access import Access
from datacosmos.store.points import Points


@dataclass(frozen=True, slots=True)
class Context:
    points: Points
    access: Access
    max_points: int
    request_id: str


Info = strawberry.Info[Context, None]
