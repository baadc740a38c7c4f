"""What every resolver may use: it travels with the execution of one request."""

from dataclasses import dataclass

import strawberry

from datacosmos.api.access import Access
from datacosmos.api.intake import Intake
from datacosmos.store.stores import Stores


@dataclass(frozen=True, slots=True)
class Context:
    stores: Stores
    access: Access
    intake: Intake
    max_points: int
    request_id: str


Info = strawberry.Info[Context, None]
